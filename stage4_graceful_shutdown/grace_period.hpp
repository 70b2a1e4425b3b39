#pragma once

#include "common/descriptor.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

// How long a shutdown may take, counted from the stop. Ends the process with status 1 if it takes
// longer. A thread of its own watches, so it does not matter which of the others hangs, or where.
class GracePeriod {
 public:
  // Throws std::system_error if the thread cannot be started.
  explicit GracePeriod(std::chrono::milliseconds limit);
  // The shutdown is done.
  ~GracePeriod();
  GracePeriod(const GracePeriod&) = delete;

  // One request, counted from when it is accepted until its job is destroyed, however that comes.
  class Ticket {
   public:
    explicit Ticket(GracePeriod& grace) : grace_(&grace), counted_(count_in(grace.waiting_)) {}

    // A worker turns to it. Returns how to wait for its client: as wait_readable() does, but from
    // the stop on only until the last call.
    Wait start() {
      counted_ = count_in(grace_->running_);
      return [grace = grace_](int fd, Clock::time_point deadline) {
        return grace->wait_until_last_call(fd, deadline);
      };
    }

   private:
    using Counted = std::unique_ptr<std::atomic<int>, void (*)(std::atomic<int>*)>;
    static Counted count_in(std::atomic<int>& count) {
      ++count;
      return {&count, [](std::atomic<int>* counted) { --*counted; }};
    }

    GracePeriod* grace_;
    Counted counted_;
  };
  Ticket admit() { return Ticket(*this); }

  // When it is over; before the stop, never.
  Clock::time_point end() const noexcept;

  // How long a client has after the stop to finish sending its request, and how long a handshake
  // has to complete: a second, once for all of them, but never as long as the grace period.
  Clock::time_point last_call() const noexcept;

 private:
  void watch() noexcept;
  bool wait_until_last_call(int fd, Clock::time_point deadline) const;

  const std::chrono::milliseconds limit_;
  std::atomic<int> waiting_ = 0;  // requests, for a worker
  std::atomic<int> running_ = 0;
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;  // guarded by mutex_
  std::thread thread_;
};
