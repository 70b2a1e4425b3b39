#pragma once

#include "tcp.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

// How many requests there are.
struct Requests {
  std::atomic<int> waiting = 0;  // for a worker
  std::atomic<int> running = 0;
};

// One request, counted from when it is accepted until its job is destroyed, however that comes.
class Ticket {
 public:
  explicit Ticket(Requests& requests)
      : requests_(&requests), counted_(count_in(requests.waiting)) {}

  // A worker turns to it.
  void start() { counted_ = count_in(requests_->running); }

 private:
  struct Uncount {
    void operator()(std::atomic<int>* count) const noexcept { --*count; }
  };
  using Counted = std::unique_ptr<std::atomic<int>, Uncount>;
  static Counted count_in(std::atomic<int>& count) {
    ++count;
    return Counted(&count);
  }

  Requests* requests_;
  Counted counted_;
};

// How long a shutdown may take, counted from the stop. Ends the process with status 1 if it takes
// longer. A thread of its own watches, so it does not matter which of the others hangs, or where.
class GracePeriod {
 public:
  // Throws std::system_error if the thread cannot be started.
  explicit GracePeriod(std::chrono::milliseconds limit);
  // The shutdown is done.
  ~GracePeriod();
  GracePeriod(const GracePeriod&) = delete;

  Ticket admit() { return Ticket(requests_); }

  // When it is over; before the stop, never.
  Clock::time_point end() const noexcept;

  // How long a client has after the stop to finish sending its request, and how long a handshake
  // has to complete: a second, once for all of them, but never as long as the grace period.
  Clock::time_point last_call() const noexcept;

  // How a worker waits for a client: as wait_readable() does, but from the stop on only until the
  // last call.
  Wait until_last_call() const;

 private:
  void watch() noexcept;
  [[noreturn]] void give_up() const noexcept;

  const std::chrono::milliseconds limit_;
  Requests requests_;
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;  // guarded by mutex_
  std::thread thread_;
};
