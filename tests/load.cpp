#include "load.hpp"

#include "client.hpp"
#include "kernel.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include <poll.h>

using namespace std::chrono_literals;

LoadResult load(std::uint16_t port, std::size_t clients, std::size_t target,
                const std::function<void()>& at_target) {
  using Step = Exchange::Step;
  LoadResult result;
  std::vector<Exchange> exchanges;
  while (exchanges.size() < clients)
    exchanges.emplace_back(port, request("/"));
  std::vector<pollfd> waits(clients);
  const auto count = [&](Step step) {
    return static_cast<std::size_t>(std::ranges::count(exchanges, step, &Exchange::step));
  };
  const auto end = Clock::now() + 20s;
  while (Clock::now() < end) {
    std::ranges::transform(exchanges, waits.begin(), &Exchange::wanted);
    if (count(Step::reading) == 0 && count(Step::connecting) == 0) break;
    if (::poll(waits.data(), waits.size(), 10) == 0 && count(Step::reading) == 0 &&
        !is_listening(port)) {
      break;  // whose first packet was dropped has not connected, and never will
    }
    for (std::size_t i = 0; i < clients; ++i) {
      if (waits[i].revents == 0) continue;
      exchanges[i].advance();
      if (exchanges[i].step() != Step::ended || !exchanges[i].answer().is_ok()) continue;
      if (++result.answered == target) at_target();
      exchanges[i] = Exchange(port, request("/"));
    }
  }
  result.lost = count(Step::ended) + count(Step::reading);
  return result;
}
