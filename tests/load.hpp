#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

struct LoadResult {
  std::size_t answered = 0;  // in full
  std::size_t lost = 0;      // connected, and not answered in full
};

// Keeps `clients` clients busy with "GET /", a connection each time, until all are refused. Calls
// `at_target` once, after `target` answers: it should stop the server.
LoadResult load(std::uint16_t port, std::size_t clients, std::size_t target,
                const std::function<void()>& at_target);
