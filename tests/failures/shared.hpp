#pragma once

#include <array>
#include <atomic>
#include <cstddef>

// What the tool and the preloaded library share: a file that both have mapped. Its name is in the
// environment of the server, under `variable`.
namespace failures {

constexpr const char* shared_variable = "FAILURES_SHARED";
constexpr std::array call_names{
    "accept4", "access",      "bind",       "clock_nanosleep", "close",           "fcntl",
    "fstat",   "getsockname", "isatty",     "listen",          "malloc",          "open",
    "pipe2",   "poll",        "pread",      "pthread_create",  "pthread_sigmask", "read",
    "recv",    "send",        "setsockopt", "shutdown",        "sigaction",       "socket",
    "write"};

struct Shared {
  int call = -1;  // which one fails, of call_names
  int number = 0;
  int error = 0;
  int times = 1;
  std::atomic<bool> loaded = false;
  std::atomic<int> accepted = 0;  // connections
  std::atomic<bool> met = false;
  std::atomic<bool> met_in_main = false;
  std::atomic<bool> met_serving = false;
  std::array<std::atomic<int>, call_names.size()> made{};  // so far
};
static_assert(std::atomic<int>::is_always_lock_free);  // or two processes could not share it

}  // namespace failures
