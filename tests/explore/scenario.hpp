#pragma once

#include "world.hpp"

// What a module of scenarios offers, and what it may ask of the explorer.
namespace explore {

struct Scenario {
  const char* name;   // "meet": what one types
  const char* title;  // "two jobs that meet: both workers must run"
  void (*body)();     // all of the program's main thread
  Luck luck{};
  // For the explorer's own tests: how many orders there are, and what is wrong in some.
  long orders = 0;
  const char* fault = "";
};

// A module has `extern "C" const Scenarios scenarios`.
struct Scenarios {
  const Scenario* begin;
  std::size_t size;
};

// The thread that is started next is none of the pool's.
void name_next_thread(const char* name);

// From here on the pool's workers may leave.
void pool_ends();

// The pool is not to be destroyed: it is left alone once its jobs are done.
void pool_stays();
bool pool_is_endless();

// Ends the run, with that fault, unless `holds`.
void expect(bool holds, const char* fault, const char* sentence);

}  // namespace explore
