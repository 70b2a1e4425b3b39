#pragma once

#include "promises.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

// Who judges: for each promise a process of its own, so that a server that hangs, floods or forks
// costs no more than its own verdict.

// What is to be judged, and what became of it.
struct Task {
  int stage;  // 0: the server of the command line
  int run;    // from 1, where each promise is judged more than once
  const Promise* promise;
  Subject subject{};
  unsigned seed = 0;
  std::uint16_t typed_port = 7878;       // of the server that is looked at by hand
  std::optional<Judgement> judgement{};  // nullopt: not yet

  Verdict expected() const;
  bool is_as_expected() const;
};

struct Limits {
  std::chrono::seconds promise{20};
  std::chrono::seconds all{60};
};

struct Course {
  std::size_t left_behind = 0;  // processes that outlived their server, and were ended
  bool interrupted = false;     // by Ctrl-C
  std::chrono::milliseconds took{};
};

// From here on this process is the parent of whatever loses its own, and has the descriptors and
// signals that judging takes. Throws std::runtime_error if there is no /proc. To be called first,
// while there is one thread.
void prepare_to_judge();

struct Look {
  std::vector<std::string>
      lines{};             // what has to be known before promises fail for it; mostly none
  std::uint16_t port = 0;  // where it listened
  std::size_t left_behind = 0;
};

// Starts the server once, and looks at what the promises rely on. nullopt after Ctrl-C. Throws
// std::runtime_error if it does not start.
std::optional<Look> look_at(const Subject& subject);

// Judges all, up to `at_once` at a time, and calls `made` with each as its verdict is there.
Course judge_all(std::span<Task> tasks, std::size_t at_once, const Limits& limits,
                 const std::function<void(const Task&)>& made);
