#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

// How many requests there are.
struct Requests {
  std::atomic<int> waiting = 0;  // for a worker
  std::atomic<int> running = 0;
};

// One request, from when a worker turns to it until it is done with, however that ends.
class Running {
 public:
  explicit Running(Requests& requests) : requests_(requests) {
    --requests_.waiting;
    ++requests_.running;
  }
  ~Running() { --requests_.running; }
  Running(const Running&) = delete;

 private:
  Requests& requests_;
};

// Ends the process with status 1 if a shutdown takes longer than `limit`, counted from the stop. A
// thread of its own watches, so it does not matter which of the others hangs, or where.
class GracePeriod {
 public:
  // Throws std::system_error if the thread cannot be started.
  GracePeriod(std::chrono::milliseconds limit, const Requests& requests);
  // The shutdown is done.
  ~GracePeriod();
  GracePeriod(const GracePeriod&) = delete;

 private:
  void watch();

  const std::chrono::milliseconds limit_;
  const Requests& requests_;
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;  // guarded by mutex_
  std::thread thread_;
};
