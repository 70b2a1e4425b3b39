#pragma once

#include "common/descriptor.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

// How long a shutdown may take, counted from the stop: ends the process with status 1 if it takes
// longer. A thread of its own watches, so it does not matter which other thread hangs, or where.
class GracePeriod {
 public:
  // Throws std::system_error if the thread cannot be started.
  explicit GracePeriod(std::chrono::milliseconds limit);
  // Ends the watch: the shutdown is complete.
  ~GracePeriod();
  GracePeriod(const GracePeriod&) = delete;

  // One request, counted from when it is accepted until its job is destroyed, whatever the reason.
  class Ticket {
   public:
    explicit Ticket(GracePeriod& grace) : grace_(&grace), counted_(count_in(grace.waiting_)) {}

    // A worker starts on the request. Returns how to wait for its client: like wait_readable(), but
    // after the stop only until the last call.
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

  // When the grace period ends; before the stop, time_point::max().
  Clock::time_point end() const noexcept;

  // The deadline after the stop for clients to finish sending and for handshakes to complete: one
  // second for all of them together, but always within the grace period.
  Clock::time_point last_call() const noexcept;

 private:
  void watch() noexcept;
  bool wait_until_last_call(int fd, Clock::time_point deadline) const;

  const std::chrono::milliseconds limit_;
  std::atomic<int> waiting_ = 0;  // requests waiting for a worker
  std::atomic<int> running_ = 0;
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;  // guarded by mutex_
  std::thread thread_;
};
