#include "load.hpp"

#include "client.hpp"
#include "kernel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

using namespace std::chrono_literals;

namespace {

enum class Step { connecting, reading, refused, lost };

struct Slot {
  FileDescriptor socket;
  Step step = Step::connecting;
  Answer answer;
};

void start(Slot& slot, std::uint16_t port) {
  slot = {start_connecting(port), Step::connecting, {}};
  if (slot.socket.get() == -1) slot.step = Step::refused;
}

// Goes on as far as it can without waiting. True if the answer is there.
bool advance(Slot& slot) {
  if (slot.step == Step::connecting) {
    if (const int error = socket_error(slot.socket)) {
      slot.step = error == ECONNREFUSED ? Step::refused : Step::lost;
      return false;
    }
    const std::string text = request("/");
    ::send(slot.socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
    slot.step = Step::reading;
    return false;
  }
  std::array<char, 4096> buffer;
  const ssize_t count = ::recv(slot.socket.get(), buffer.data(), buffer.size(), 0);
  if (count > 0) {
    slot.answer.bytes.append(buffer.data(), static_cast<std::size_t>(count));
    return false;
  }
  slot.answer.end = count == 0 ? Answer::End::closed : Answer::End::reset;
  if (!slot.answer.is_ok()) slot.step = Step::lost;
  return slot.step != Step::lost;
}

}  // namespace

LoadResult load(std::uint16_t port, std::size_t clients, std::size_t target,
                const std::function<void()>& at_target) {
  LoadResult result;
  std::vector<Slot> slots(clients);
  for (Slot& slot : slots)
    start(slot, port);
  std::vector<pollfd> waits(clients);
  const auto in = [](Step step) { return [step](const Slot& slot) { return slot.step == step; }; };
  const auto end = Clock::now() + 20s;
  while (Clock::now() < end) {
    std::ranges::transform(slots, waits.begin(), [](const Slot& slot) {
      const bool over = slot.step == Step::refused || slot.step == Step::lost;
      const short event = slot.step == Step::connecting ? POLLOUT : POLLIN;
      return pollfd{over ? -1 : slot.socket.get(), event, 0};
    });
    const bool none_reading = std::ranges::none_of(slots, in(Step::reading));
    const bool none_connecting = std::ranges::none_of(slots, in(Step::connecting));
    if (none_reading && none_connecting) break;
    if (::poll(waits.data(), waits.size(), 10) == 0 && none_reading && !is_listening(port)) {
      break;  // whose first packet was dropped has not connected, and never will
    }
    for (std::size_t i = 0; i < clients; ++i) {
      if (waits[i].revents == 0 || !advance(slots[i])) continue;
      if (++result.answered == target) at_target();
      start(slots[i], port);
    }
  }
  result.lost = static_cast<std::size_t>(std::ranges::count_if(slots, in(Step::lost)) +
                                         std::ranges::count_if(slots, in(Step::reading)));
  return result;
}
