#include "recording.hpp"

#include <algorithm>
#include <csignal>
#include <span>

namespace {

std::string n_of_m(std::size_t n, std::size_t m) {
  return std::to_string(n) + " of " + std::to_string(m);
}

// A kernel resets a connection whose input nobody has read, and closes the others.
std::string cut_off(const Answer& answer, State last) {
  if (!answer.bytes.empty()) return answer.text();
  if (last == State::connecting) return "never connected";
  if (answer.end != Answer::End::reset) return "cut off: no answer came";
  if (last == State::in_kernel) return "reset: never accepted";
  return last == State::accepted ? "reset: accepted, not read" : "reset: no answer came";
}

std::string count(std::size_t number, std::string_view what) {
  return std::to_string(number) + ' ' + std::string(what) + (number == 1 ? "" : "s");
}

// As much of it as fits, without what a terminal, or XML, would take for something else.
std::string last_line(std::string text) {
  text.erase(text.find_last_not_of(" \n") + 1);
  text.erase(0, text.rfind('\n') + 1);
  text.erase(0, text.find_first_not_of(' '));
  std::ranges::replace_if(text, [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
  return text.substr(0, 90);
}

}  // namespace

Time Scene::length() const {
  const auto rounds = static_cast<int>((clients + workers - 1) / workers);
  const Time start = plot == Plot::rude_client ? sleep / 2 : Time(0);
  return std::max(start + rounds * sleep, at);
}

std::optional<State> ClientRecord::state(Time at) const {
  if (end && at > end->at) return std::nullopt;  // a Ctrl-C can end it within the millisecond
  const auto next = std::ranges::upper_bound(changes, at, {}, &Change::at);
  if (next == changes.begin()) return std::nullopt;
  return std::prev(next)->to;
}

std::string summary(const ServerRecord& server) {
  std::size_t asked = 0;
  std::size_t answered = 0;
  // All but the late one: what becomes of that is another question.
  for (const ClientRecord& client : std::span(server.clients).first(server.clients.size() - 1)) {
    const std::optional<Fate> fate = client.end ? std::optional(client.end->fate) : std::nullopt;
    asked += !client.changes.empty() && fate != Fate::left ? 1 : 0;
    answered += fate == Fate::answered ? 1 : 0;
  }
  return (server.ending ? server.ending->exit.text() : "running") + ", answered " +
         n_of_m(answered, asked);
}

std::string_view meaning(State state) {
  switch (state) {
    case State::connecting:
      return "connecting";
    case State::in_kernel:
      return "kernel's queue";
    case State::accepted:
      return "queued";
    case State::served:
      break;
  }
  return "served";
}

std::string_view meaning(Fate fate) {
  switch (fate) {
    case Fate::answered:
      return "200 OK";
    case Fate::lost:
      return "lost";
    case Fate::refused:
      return "refused";
    case Fate::left:
      break;
  }
  return "reset";
}

std::string seconds(Time time) {
  std::string text = std::to_string(time.count() / 1000);
  if (std::string digits = std::to_string(1000 + time.count() % 1000).substr(1); digits != "000") {
    digits.erase(digits.find_last_not_of('0') + 1);
    text += '.' + digits;
  }
  return text;
}

std::string title(const Scene& scene) {
  return (scene.plot == Plot::ctrl_c ? "Ctrl-C" : "A reset") + std::string(" with ") +
         count(scene.clients, "client") + " on /sleep, " + count(scene.workers, "worker");
}

std::string_view what_happened(const Scene& scene) {
  return scene.plot == Plot::ctrl_c ? "^C" : "RST";
}

Time span(const Recording& recording) {
  Time last = recording.scene.length();
  for (const ServerRecord& server : recording.servers) {
    for (const ClientRecord& client : server.clients)
      last = std::max(last, client.end ? client.end->at : Time(0));
    last = std::max(last, server.ending ? server.ending->at : Time(0));
  }
  return std::max(last, recording.now);
}

std::string outcome(const Recording& recording, const ClientRecord& client) {
  if (!client.end) return recording.over ? "still waiting" : "";
  const auto then = recording.happened ? client.state(*recording.happened) : std::nullopt;
  if (client.end->fate != Fate::answered || recording.scene.plot != Plot::ctrl_c || !then)
    return client.end->text;
  switch (*then) {
    case State::connecting:
      break;
    case State::in_kernel:
      return client.end->text + " (in kernel at ^C)";
    case State::accepted:
      return client.end->text + " (queued at ^C)";
    case State::served:
      break;
  }
  return client.end->text;
}

std::vector<std::pair<std::string, std::string>> output(const Scene& scene,
                                                        const ServerRecord& server) {
  std::vector<std::pair<std::string, std::string>> words;
  if (server.disconnected > 0) {
    words.emplace_back("stdout",
                       n_of_m(server.disconnected, scene.workers) + " workers disconnected");
  }
  if (!server.said.empty()) words.emplace_back("stderr", last_line(server.said));
  return words;
}

End make_end(Time at, const Answer& answer, State last) {
  if (answer.is_ok()) return {at, Fate::answered, "200 OK"};
  return {at, Fate::lost, cut_off(answer, last)};
}
