#pragma once

#include "tests/harness/server.hpp"

#include <array>
#include <span>
#include <string>
#include <string_view>

// The promises a server can keep or break, each judged from outside: by clients, by signals, and by
// what the kernel says.

enum class Verdict { kept, broken, not_judged };

// Why the judge could not judge, where it was no matter of the server.
enum class Trouble { none, time, ours };

struct Judgement {
  Verdict verdict = Verdict::not_judged;
  std::string evidence;  // "SIGINT: 0 of 4 answered, ended by SIGINT"
  Trouble trouble = Trouble::none;
  // What to type to see it, with port 7878, {workers}, and {server}, also "with take" or "with
  // grace", for its command.
  std::string by_hand{};
};

struct Promise {
  int number;
  std::string_view title;           // at most 40 characters
  std::array<Verdict, 4> expected;  // of stages 1 to 4
  Judgement (*judge)(const Subject&);
};

// In the order of their numbers, from 1.
std::span<const Promise> promises();

// Judges. What goes wrong with the server is a broken promise, with the reason; what goes wrong
// with us (no descriptors, no processes, no time) is "not judged". With a seed, all numbers vary
// within the contract; 0 is none.
Judgement judge(const Promise& promise, const Subject& subject, unsigned seed = 0);

std::string_view word(Verdict verdict);  // "kept", "broken", "not judged here"
