#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

// Calls `function(i)` for each i below `count`, in any order, from that many threads.
template <typename Function>
void in_parallel(std::size_t count, std::size_t threads, Function function) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> workers(threads);
  for (std::thread& worker : workers) {
    worker = std::thread([&] {
      for (std::size_t i = next++; i < count; i = next++) function(i);
    });
  }
  for (std::thread& worker : workers) worker.join();
}
