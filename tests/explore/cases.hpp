#pragma once

#include "module.hpp"
#include "search.hpp"
#include "world.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace explore {

struct Result {
  long orders = 0;  // that differ, and were run to the end; or that were tried, up to the failure
  Failure failure;
  Order order;        // that failed
  int switches = -1;  // how often a thread is interrupted in it, if that is known to be the least
  bool all = true;    // or there are too many orders
  long runs = 0;      // with those that were left, since they only led to what was known
};

// One situation in which a program is explored.
struct Case {
  std::string name;                   // "meet": what one types
  std::string title;                  // "2 workers, 2 jobs that wait for each other"
  std::function<void(Decider&)> run;  // how it failed is in world.failure
  std::function<Result()> explore;    // runs it in every order
  std::string fault;                  // what it should fail with, in the explorer's own tests
  long orders = 0;                    // how many there should be, if that is known
};

// The scenarios of a module that has `scenarios`.
std::vector<Case> pool_cases(const Module& module);

// A server's whole main(), in the simulated kernel: the signal at every position, and beside it so
// many departures from the plain order.
std::vector<Case> server_cases(const Module& module, int departures);

// A reader's own pool, compiled into a folder that goes with it.
class OwnPool {
 public:
  // Throws std::runtime_error if there is none in `folder`, or it does not compile.
  explicit OwnPool(const std::filesystem::path& folder);
  ~OwnPool() { std::filesystem::remove_all(made_); }
  OwnPool(const OwnPool&) = delete;

  std::string module() const { return made_ / "pool.so"; }

 private:
  std::filesystem::path made_;
};

}  // namespace explore
