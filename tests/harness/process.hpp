#pragma once

#include "common/tcp.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/types.h>

// When all waiting in this process has to be over: what would wait beyond it throws OutOfTime.
inline std::atomic<Clock::time_point> time_limit = Clock::time_point::max();
struct OutOfTime : std::runtime_error {
  OutOfTime() : std::runtime_error("its time is over") {}
};

// poll(), up to `deadline`: how many are ready. Throws std::system_error if it fails.
int poll_until(std::span<pollfd> what, Clock::time_point deadline);

// Lets this process have as many descriptors as it may; what it starts has as many as before.
void raise_descriptor_limit();

// How a process ended, as wait() tells it.
struct Exit {
  int status = 0;
  std::chrono::microseconds user{};  // processor time, of all its threads
  std::chrono::microseconds system{};

  bool with(int code) const;      // by itself, with this exit status
  bool by_signal(int sig) const;  // ended by this signal
  bool by_any_signal() const;
  std::string text() const;  // "exit 0", "ended by SIGINT"
};

// What is special about a start.
struct Launch {
  unsigned max_descriptors = 0;  // 0: as it is
  std::size_t max_memory = 0;    // bytes of address space; 0: as it is
  int namespaces = 0;            // CLONE_NEWPID, CLONE_NEWUSER
  int out = -1;                  // a descriptor to be its stdout; -1: kept, see Process::out
  bool out_closed = false;       // `>&-`
  bool signals_blocked =
      false;  // all of them, as by a parent that waits for its own with sigwait()
};

class Output;

// A program under test: started with signals, signal mask and process group as from a shell, its
// stdout and stderr read all the time, and the first MiB of each kept; killed and reaped at the end
// of its life here, with its children; itself also if we are killed.
class Process {
 public:
  // Throws std::system_error if it cannot be started.
  explicit Process(const std::vector<std::string>& command, const Launch& launch = {});
  Process(const Process&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }
  void send(int signal) const;

  // How it ended; nullopt if it is still running after `limit`.
  std::optional<Exit> wait_for_exit(std::chrono::milliseconds limit);
  // The same. Throws std::runtime_error if it is still running then: with why, if that can be told.
  Exit exit_within(std::chrono::milliseconds limit);
  bool is_running() { return !wait_for_exit(std::chrono::milliseconds(0)); }

  // What it has written so far, up to 1 MiB.
  std::string out() const;
  std::string err() const;

  // Waits for whole lines on stdout, `count` of them that contain `text`. False after 10 s, or if
  // the process ends without.
  bool wait_for_out(const std::string& text, std::size_t count = 1);

 private:
  Process();
  void reap();  // once it has ended

  std::unique_ptr<Output> output_;
  pid_t pid_ = -1;
  FileDescriptor pidfd_;
  std::optional<Exit> exit_;
};

// Why a process that should have ended has not: what bench/why.py tells, each line indented by that
// much. It stops the process for a moment, so it is asked after the verdict that it explains, and
// once in a run. "" if nothing can be told; that takes 10 s at most, and mostly half of one.
std::string why_it_runs(pid_t pid, std::size_t indent);

// Has it been asked? In shared memory where a run is more than one process.
inline std::atomic<bool> why_was_told_here = false;
inline std::atomic<bool>* why_was_told = &why_was_told_here;

// Waits until `done()` holds, looking again at short, growing intervals: for what cannot be waited
// for otherwise. False after `limit`.
template <typename Condition>
bool eventually(Condition done, std::chrono::milliseconds limit = std::chrono::seconds(10));

// Does nothing for that long. Never a gate: only where time itself is what is tested.
void pause_for(std::chrono::milliseconds time);

template <typename Condition>
bool eventually(Condition done, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (std::chrono::milliseconds pause{1}; !done();
       pause = std::min(2 * pause, std::chrono::milliseconds(16))) {
    if (Clock::now() >= deadline) return false;
    pause_for(pause);
  }
  return true;
}
