#pragma once

#include "tests/harness/server.hpp"

#include <array>
#include <span>
#include <string>
#include <string_view>

// The promises a server can keep or break, each judged from outside: by clients, by signals, and by
// what the kernel says.

enum class Verdict { kept, broken, not_judged };

struct Judgement {
  Verdict verdict = Verdict::not_judged;
  std::string evidence;  // "SIGINT: 0 of 4 answered, ended by SIGINT"
};

struct Promise {
  int number;
  std::string_view title;           // at most 40 characters
  std::string_view by_hand;         // how to see it without this program
  std::array<Verdict, 4> expected;  // of stages 1 to 4
  Judgement (*judge)(const Subject&);
};

// In the order of their numbers, from 1.
std::span<const Promise> promises();

// Judges; whatever goes wrong in it is a broken promise, with the reason.
Judgement judge(const Promise& promise, const Subject& subject);

std::string_view word(Verdict verdict);  // "kept", "broken", "not judged here"
