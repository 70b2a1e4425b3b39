#pragma once

#include "kernel.hpp"
#include "module.hpp"
#include "search.hpp"
#include "world.hpp"

#include <set>
#include <span>
#include <string>
#include <vector>

// A whole server, main() and all, in the simulated kernel: its clients, its signals, and what must
// have come of it at the end.
namespace explore {

constexpr Time start_time = 1'000'000'000'000;  // not 0, which a program may take for "never"
struct Client {
  enum Kind { plain, half_closed, slow, trickling, talkative, silent, rude, refused } kind = plain;
  const char* target = "/";
  Time after = 0;  // the start
};

struct Signal {
  int number;
  Time after = 0;  // the start, or the signal before
};

// What a client saw.
struct Seen {
  bool refused = false;
  bool too_early = false;  // was that, before any stop
  bool connected = false;
  bool whole = false;
  bool reset = false;
  Time ended_at = never;
};
constexpr std::size_t most_clients = 8;

struct Expected {
  int status = 0;              // of its end
  int take = 0;                // only so many clients are answered
  bool loses = false;          // may lose clients: its time runs out, or it is told to
  Time limit = 8'000'000'000;  // virtual, for all of it
  Time quick = never;          // and for a client that asks for "/"
  const char* prints = "";     // among the rest
};

struct ServerScenario {
  const char* name;                  // "one": what one types
  const char* title;                 // "1 worker, 1 client"
  std::vector<std::string> options;  // of the server; those it does not know are left out
  std::vector<Client> clients;
  std::vector<Signal> signals;
  Expected expected{};
  Kernel::Conditions conditions{};
};

std::span<const ServerScenario> server_scenarios();

// What it prints with --help, by a run of its own: the stages differ in the options they have.
const std::string& usage_of(const Module& module);

// One run, and how its clients fared; in world.failure, what is wrong with any program.
std::span<const Seen> play_server(const Module& module, const ServerScenario& scenario,
                                  Decider& decider);
// And what is wrong by the scenario.
void run_server(const Module& module, const ServerScenario& scenario, Decider& decider);

// Each run departs from the plain order, in which a thread goes on for as long as it can and what
// comes from outside comes when nobody else can do anything: so many times, beside the signals,
// which are tried at every position. What comes from outside comes early only before a step that
// depends on it: before another one it would be the same as after it.
class ServerSearch : public Decider {
 public:
  explicit ServerSearch(int departures) : departures_(departures) {}

  // Before each run but the first: false if that was the last one.
  bool advance();
  Order order() const { return order_; }

  Thread* next(std::span<Thread* const> options, bool first_is_running) override;
  int which(int count) override;
  void passed(const Thread& thread, const Step& step) override;

 private:
  const Path::Decision& decide(const Path::Decision& if_new);
  bool matters(const Thread& from_outside, const Thread& usual) const;

  int departures_;
  Path path_;  // marked: whose going on is no departure
  // What the handlers of signals have touched. Known only after a run, so when there is more of it,
  // the search begins again.
  std::set<const void*> touched_;
  std::size_t known_ = 0;
  // Of this run:
  int calls_ = 0;
  int departed_ = 0;
  const Thread* last_ = nullptr;   // of the program
  const Thread* early_ = nullptr;  // has just come early, from outside
  Order order_;
};

struct ServerResult {
  long runs = 0;
  long steps = 0;
  long answered = 0;  // clients, in all runs
  long refused = 0;
  long lost = 0;
  Failure failure;
  Order order;  // that failed
  int departures = 0;
};

ServerResult explore_server(const Module& module, const ServerScenario& scenario, int departures);

}  // namespace explore
