#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

// Calls `function(i)` for each i below `count`, in any order, from that many threads. The first
// exception that one of them throws ends it, and is thrown here.
template <typename Function>
void in_parallel(std::size_t count, std::size_t threads, Function function) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::exception_ptr> thrown(threads);
  std::vector<std::thread> workers(threads);
  const auto work = [&](std::size_t worker) {
    try {
      for (std::size_t i = next++; i < count; i = next++) function(i);
    } catch (...) {
      thrown[worker] = std::current_exception();
      next = count;
    }
  };
  try {
    for (std::size_t worker = 0; worker < threads; ++worker)
      workers[worker] = std::thread(work, worker);
  } catch (...) {  // no more threads
    thrown.push_back(std::current_exception());
    next = count;
  }
  for (std::thread& worker : workers) {
    if (worker.joinable()) worker.join();
  }
  for (const std::exception_ptr& one : thrown) {
    if (one) std::rethrow_exception(one);
  }
}
