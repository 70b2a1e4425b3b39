#pragma once

#include "world.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace explore {

// An order of a program's threads: where it departs from the plain one, in which whoever runs goes
// on for as long as it can. As a text, "14:2,20:1": at the 14th decision thread 2 goes on.
using Order = std::map<int, int>;
std::string to_text(const Order& order);
// Throws std::invalid_argument.
Order parse_order(std::string_view text);

// The decisions of a run: those of the run before, up to one that is made differently, and then new
// ones. So all runs are had, depth-first.
class Path {
 public:
  struct Decision {
    std::array<std::uint8_t, max_threads> options;  // ids of threads; or just so many
    std::uint8_t size;
    std::uint8_t at;
    std::uint32_t marked;  // threads, by their ids: what that means is whoever decides' own
  };
  // The next one of this run.
  const Decision& decide(const Decision& if_new);
  // On to the next run: false if there is none.
  bool advance();
  void begin_again();

 private:
  std::vector<Decision> decisions_;
  std::size_t depth_ = 0;
};

// Depth-first through all runs, each from its beginning.
class Search : public Decider {
 public:
  // Every order of the steps that depend on each other; what differs only in the order of those
  // that do not is tried once (sleep sets: P. Godefroid, LNCS 1032, 1996).
  static Search every_order() { return Search(true, INT32_MAX); }
  // Every order in which at most `switches` times somebody is interrupted who could go on: the
  // shortest stories (M. Musuvathi and S. Qadeer, PLDI 2007).
  static Search few_switches(int switches) { return Search(false, switches); }

  // Before each run but the first: false if that was the last one.
  bool advance();
  Order order() const { return order_; }

  Thread* next(std::span<Thread* const> options, bool first_is_running) override;
  int which(int count) override;
  void passed(const Thread& thread, const Step& step) override;

 private:
  Search(bool sleeps, int switches) : sleeps_(sleeps), switches_(switches) {}

  bool sleeps_;
  int switches_;
  Path path_;  // marked: who was asleep before it
  // Of this run:
  int calls_ = 0;
  int switched_ = 0;
  std::uint32_t sleeping_ = 0;  // who need not go on before somebody touches what it would touch
  Order order_;
};

// One order, as it was written down.
class Replay : public Decider {
 public:
  explicit Replay(Order order) : order_(std::move(order)) {}
  // Did the run come to all that is decided?
  bool is_done() const { return order_.empty() || order_.rbegin()->first < calls_; }

  Thread* next(std::span<Thread* const> options, bool first_is_running) override;
  int which(int count) override;
  void passed(const Thread&, const Step&) override {}

 protected:
  int decided(int usual);

  Order order_;
  int calls_ = 0;
};

}  // namespace explore
