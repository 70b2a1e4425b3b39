#include "load.hpp"

#include "tests/harness/cli.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <vector>

#include <poll.h>

using namespace std::chrono_literals;

void LoadResult::count(const Answer& answer) {
  if (!answer.bytes.empty()) met.answers = true;
  ++(answer.is_ok()                      ? answered
     : answer.end == Answer::End::reset  ? reset
     : answer.end == Answer::End::closed ? cut
                                         : silent);
}

LoadResult& LoadResult::operator+=(const LoadResult& other) {
  answered += other.answered;
  reset += other.reset;
  cut += other.cut;
  silent += other.silent;
  undecided += other.undecided;
  late += other.late;
  return *this;
}

std::string LoadResult::text() const {
  const auto number = [](std::size_t n) { return with_commas(static_cast<double>(n), 0); };
  return number(lost()) + " lost of " + number(answered + lost()) + " connections (" +
         number(reset) + " reset, " + number(cut) + " cut, " + number(silent) + " silent), " +
         number(undecided) + " undecided, " + number(late) + " refused late";
}

LoadResult stop_under_load(const Server& server, std::size_t clients, std::size_t target) {
  using Step = Exchange::Step;
  LoadResult result;
  const auto begin = [&](std::size_t client) {
    return Exchange(server.port(), request(client == 0 ? "/sleep" : "/"));
  };
  std::vector<Exchange> exchanges;
  while (exchanges.size() < clients) exchanges.push_back(begin(exchanges.size()));
  std::vector<pollfd> waits(clients);
  const auto any = [&](Step step) {
    return std::ranges::count(exchanges, step, &Exchange::step) > 0;
  };
  // Only a server that does not stop is still there at the end.
  const auto end = Clock::now() + 20s;
  while (Clock::now() < end && (any(Step::reading) || any(Step::connecting))) {
    std::ranges::transform(exchanges, waits.begin(), &Exchange::wanted);
    // When nothing happens for so long, nothing will: a first packet that was dropped is sent again
    // after a second.
    const auto patience = any(Step::reading) ? 5000ms : 2500ms;
    if (poll_until(waits, Clock::now() + patience) == 0) break;
    for (std::size_t i = 0; i < clients; ++i) {
      if (waits[i].revents == 0) continue;
      exchanges[i].advance();
      if (exchanges[i].step() == Step::refused && Clock::now() > exchanges[i].start() + 500ms)
        ++result.late;
      if (exchanges[i].step() != Step::ended || !exchanges[i].answer().is_ok()) continue;
      result.count(exchanges[i].answer());
      if (result.answered == target) server.send(SIGTERM);
      exchanges[i] = begin(i);
    }
  }
  for (const Exchange& exchange : exchanges) {
    if (exchange.step() == Step::connecting)
      ++result.undecided;
    else if (exchange.step() != Step::refused)
      result.count(exchange.answer());
  }
  return result;
}
