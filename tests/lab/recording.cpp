#include "recording.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

namespace {

std::string n_of_m(std::size_t n, std::size_t m) {
  return std::to_string(n) + " of " + std::to_string(m);
}

// A kernel resets a connection whose input nobody has read, and closes the others.
std::string cut_off(const Answer& answer, State last) {
  if (!answer.bytes.empty()) return answer.text();
  if (last == State::connecting) return "never connected";
  if (answer.end != Answer::End::reset) return "closed without an answer";
  if (last == State::in_kernel) return "reset: never accepted";
  return last == State::accepted ? "reset: request never read" : "reset without an answer";
}

// Those that began with it, or it alone.
std::span<const ClientRecord> batch(const ServerRecord& server, std::size_t client) {
  return std::span(server.clients).subspan(client, next_row(server, client) - client);
}

// "46 200 OK, 4 lost"; `is_over`: nothing more will come.
std::string batch_outcome(std::span<const ClientRecord> clients, Time at, bool is_over) {
  std::string text;
  std::size_t left = clients.size();
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(count) + ' ' + std::string(what);
  };
  for (const Fate fate :
       {Fate::answered, Fate::turned_away, Fate::lost, Fate::refused, Fate::left}) {
    const auto count =
        static_cast<std::size_t>(std::ranges::count_if(clients, [&](const ClientRecord& client) {
          return client.end && client.end->at <= at && client.end->fate == fate;
        }));
    add(count, meaning(fate));
    left -= count;
  }
  if (is_over) add(left, "still waiting");
  return text;
}

}  // namespace

std::optional<State> ClientRecord::state(Time at) const {
  if (end && at > end->at) return std::nullopt;  // a Ctrl-C can end it within the millisecond
  const auto next = std::ranges::upper_bound(changes, at, {}, &Change::at);
  if (next == changes.begin()) return std::nullopt;
  return std::prev(next)->to;
}

const Snapshot* ServerRecord::look(Time at) const {
  const auto next = std::ranges::upper_bound(snapshots, at, {}, &std::pair<Time, Snapshot>::first);
  return next == snapshots.begin() ? nullptr : &std::prev(next)->second;
}

std::optional<Time> Recording::stop() const {
  const auto found = std::ranges::find_if(marks, &Mark::is_stop);
  return found == marks.end() ? std::nullopt : std::optional(found->at);
}

std::string_view meaning(const Recording& recording, State state) {
  if (state == State::accepted && std::ranges::any_of(recording.servers, &ServerRecord::has_pool))
    return "job queue";
  constexpr std::array<std::string_view, 4> names{"connecting", "accept queue",
                                                  "accepted, not read", "served"};
  return names.at(static_cast<std::size_t>(state));
}

std::string_view meaning(Fate fate) {
  constexpr std::array<std::string_view, 5> names{"200 OK", "turned away", "lost", "refused",
                                                  "reset"};
  return names.at(static_cast<std::size_t>(fate));
}

std::string_view meaning(Kind kind) {
  constexpr std::array<std::string_view, 5> names{"get", "slow", "silent", "trickle", "rude"};
  return names.at(static_cast<std::size_t>(kind));
}

std::string name(const ServerRecord& server, std::size_t client) {
  const ClientRecord& record = server.clients.at(client);
  const std::string last = record.batch > 1 ? '-' + std::to_string(client + record.batch) : "";
  return std::to_string(client + 1) + last + ' ' + std::string(meaning(record.kind));
}

std::size_t next_row(const ServerRecord& server, std::size_t client) {
  const std::size_t size = std::max<std::size_t>(server.clients.at(client).batch, 1);
  return std::min(client + size, server.clients.size());
}

std::string seconds(Time time) {
  std::string text = std::to_string(time.count() / 1000);
  if (std::string digits = std::to_string(1000 + time.count() % 1000).substr(1); digits != "000") {
    digits.erase(digits.find_last_not_of('0') + 1);
    text += '.' + digits;
  }
  return text;
}

std::string heading(const Recording& recording) {
  const std::string count = std::to_string(recording.workers);
  const bool pool = std::ranges::any_of(recording.servers, &ServerRecord::has_pool);
  if (recording.title.empty() || !pool) return recording.title;
  return recording.title + ", " + count + (recording.workers == 1 ? " worker" : " workers");
}

Time begin(const Recording& recording) {
  Time first = recording.now;
  for (const ServerRecord& server : recording.servers) {
    if (!server.clients.empty()) first = std::min(first, server.clients.front().changes.front().at);
    if (server.ending) first = std::min(first, server.ending->at);
  }
  return recording.marks.empty() ? first : std::min(first, recording.marks.front().at);
}

Time end(const Recording& recording) {
  Time last = begin(recording);
  for (const ServerRecord& server : recording.servers) {
    for (const ClientRecord& client : server.clients)
      last = std::max(last, client.end ? client.end->at : recording.now);
    last = std::max(last, server.ending ? server.ending->at : last);
  }
  return recording.marks.empty() ? last : std::max(last, recording.marks.back().at);
}

std::string outcome(const Recording& recording, const ServerRecord& server, std::size_t client,
                    Time at) {
  const ClientRecord& record = server.clients.at(client);
  const bool is_over = recording.over && at >= recording.now;
  if (record.batch > 1) return batch_outcome(batch(server, client), at, is_over);
  if (!record.end || record.end->at > at) return is_over ? "still waiting" : "";
  const std::optional<Time> stop = recording.stop();
  const auto then = stop ? record.state(*stop) : std::nullopt;
  const bool was_queued = then == State::in_kernel || then == State::accepted;
  if (record.end->fate != Fate::answered || !was_queued) return record.end->text;
  return record.end->text + (then == State::in_kernel ? " (in kernel at " : " (queued at ") +
         std::ranges::find_if(recording.marks, &Mark::is_stop)->name + ')';
}

Cell cell(const ServerRecord& server, std::size_t client, Time at, Time length) {
  std::array<int, 4> states{};
  std::array<int, 5> fates{};
  for (const ClientRecord& one : batch(server, client)) {
    if (const auto state = one.state(at)) ++states.at(static_cast<std::size_t>(*state));
    if (one.end && one.end->at <= at && one.end->at > at - length)
      ++fates.at(static_cast<std::size_t>(one.end->fate));
  }
  Cell result;
  if (const auto most = std::ranges::max_element(fates); *most > 0)
    result.fate = static_cast<Fate>(most - fates.begin());
  if (const auto most = std::ranges::max_element(states); *most > 0)
    result.state = static_cast<State>(most - states.begin());
  return result;
}

namespace {

template <typename Condition>
bool any_client(const Recording& recording, Condition condition) {
  return std::ranges::any_of(recording.servers, [&](const ServerRecord& server) {
    return std::ranges::any_of(server.clients, condition);
  });
}

}  // namespace

bool has(const Recording& recording, Fate fate) {
  return any_client(recording, [&](const ClientRecord& client) {
    return client.end && client.end->fate == fate;
  });
}

bool has(const Recording& recording, State state) {
  return any_client(recording, [&](const ClientRecord& client) {
    return std::ranges::count(client.changes, state, &Change::to) > 0;
  });
}

std::string summary(const ServerRecord& server, Time at) {
  std::size_t asked = 0;
  std::size_t answered = 0;
  for (const ClientRecord& client : server.clients) {
    const std::optional<Fate> fate =
        client.end && client.end->at <= at ? std::optional(client.end->fate) : std::nullopt;
    const bool asks = client.kind != Kind::silent && fate != Fate::refused && fate != Fate::left;
    asked += asks && client.changes.front().at <= at ? 1 : 0;
    answered += fate == Fate::answered ? 1 : 0;
  }
  const bool ended = server.ending && server.ending->at <= at;
  return (ended ? server.ending->exit.text() : "running") + ", answered " + n_of_m(answered, asked);
}

std::vector<std::pair<std::string, std::string>> last_words(const Recording& recording,
                                                            const ServerRecord& server) {
  std::vector<std::pair<std::string, std::string>> words;
  std::size_t disconnected = 0;
  std::string last;
  for (const Said& said : server.said) {
    disconnected += said.line.ends_with(" disconnected; shutting down.") ? 1 : 0;
    if (said.on_stderr) last = said.line;
  }
  if (disconnected > 0)
    words.emplace_back("stdout", n_of_m(disconnected, recording.workers) + " workers disconnected");
  last.erase(0, last.find_first_not_of(' '));
  if (!last.empty()) words.emplace_back("stderr", last.substr(0, 90));
  return words;
}

End make_end(Time at, const Answer& answer, Kind kind, State last) {
  if (answer.is_ok()) return {at, Fate::answered, "200 OK"};
  if (answer.is_whole()) return {at, Fate::turned_away, std::to_string(answer.status())};
  if (kind == Kind::silent && answer.is_quiet_close()) return {at, Fate::turned_away, "closed"};
  return {at, Fate::lost, cut_off(answer, last)};
}
