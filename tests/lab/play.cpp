#include "play.hpp"

#include "tests/harness/kernel.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

#include <poll.h>

using namespace std::chrono_literals;

namespace {

constexpr Time late_by = 300ms;

// How long to wait for what may never come.
constexpr Time patience = 3s;

std::vector<ClientRecord> make_clients(const Scene& scene) {
  std::vector<ClientRecord> clients;
  for (std::size_t i = 1; i <= scene.clients; ++i)
    clients.push_back({"client " + std::to_string(i), {}});
  if (scene.plot == Plot::rude_client) clients.front().name = "rude";
  clients.push_back({"late", {}});
  return clients;
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

// How long nothing has changed, where nothing will.
constexpr Time settling = 50ms;

bool is_served(const ClientRecord& client) {
  return client.end || client.changes.back().to == State::served;
}

// What the kernel says of a connection, and the server has not ended.
State state_of(const Peer& peer) {
  if (!peer.accepted) return State::in_kernel;
  return peer.unread > 0 ? State::accepted : State::served;
}

}  // namespace

Play::Play(const Scene& scene, std::span<const Role> roles) : recording_{.scene = scene} {
  for (const Role& role : roles) {
    Subject subject = role.subject;
    subject.workers = scene.workers;
    casts_.push_back({std::make_unique<Server>(
                          subject, Run{.grace = scene.length() + patience, .sleep = scene.sleep}),
                      {}});
    casts_.back().exchanges.resize(scene.clients + 1);
    recording_.servers.push_back({role.name, make_clients(scene)});
  }
  start_ = Clock::now();
}

bool Play::step() {
  start_clients();
  if (!recording_.happened && is_due()) {
    look();  // as late as can be: how things stood is what it is all about
    let_it_happen();
  }
  wait_for_clients();
  look();
  recording_.now = now();
  recording_.over = is_over();
  for (std::size_t i = 0; recording_.over && i < casts_.size(); ++i) {
    ServerRecord& server = recording_.servers[i];
    if (recording_.scene.plot == Plot::ctrl_c && !server.ending)
      server.why = why_it_runs(casts_[i].server->pid(), 1);
  }
  return !recording_.over;
}

Time Play::now() const { return std::chrono::duration_cast<Time>(Clock::now() - start_); }

// When client number `client` connects; nullopt if that is not known yet. The rude one comes first:
// its end is to find the others in the middle of theirs.
std::optional<Time> Play::start_of(std::size_t client) const {
  const Scene& scene = recording_.scene;
  const bool rude = scene.plot == Plot::rude_client;
  if (client < scene.clients && (!rude || client == 0)) return Time(0);
  if (client < scene.clients)
    return std::clamp(recording_.happened.value_or(scene.sleep), scene.sleep / 4, scene.sleep / 2);
  if (!recording_.happened) return std::nullopt;
  return std::max(*recording_.happened, rude ? scene.sleep : Time(0)) + late_by;
}

void Play::start_clients() {
  for (std::size_t client = 0; client <= recording_.scene.clients; ++client) {
    const std::optional<Time> start = start_of(client);
    if (!start || now() < *start) continue;
    const bool late = client == recording_.scene.clients;
    for (std::size_t i = 0; i < casts_.size(); ++i) {
      std::optional<Exchange>& exchange = casts_[i].exchanges[client];
      if (exchange) continue;
      recording_.servers[i].clients[client].changes = {{now(), State::connecting}};
      exchange.emplace(casts_[i].server->port(), request(late ? "/" : "/sleep"));
    }
  }
}

// Not before `at`, nor before the clients are where they will be for a while: the Ctrl-C is to find
// every connection made, the reset its answer being made.
bool Play::is_due() const {
  const Scene& scene = recording_.scene;
  if (now() < scene.at) return false;
  return now() > scene.at + patience ||
         std::ranges::all_of(recording_.servers, [&](const ServerRecord& server) {
           return scene.plot == Plot::ctrl_c ? is_settled(server)
                                             : is_served(server.clients.front());
         });
}

bool Play::is_settled(const ServerRecord& server) const {
  const auto clients = std::span(server.clients).first(recording_.scene.clients);
  return std::ranges::all_of(clients, [&](const ClientRecord& client) {
    if (client.end) return true;
    return !client.changes.empty() && client.changes.back().to != State::connecting &&
           client.changes.back().at + settling < now();
  });
}

void Play::let_it_happen() {
  recording_.happened = now();
  for (std::size_t i = 0; i < casts_.size(); ++i) {
    if (recording_.scene.plot == Plot::ctrl_c) {
      casts_[i].server->send(SIGINT);
    } else if (!casts_[i].exchanges.front()->is_over()) {
      casts_[i].exchanges.front()->abandon();
      recording_.servers[i].clients.front().end = {now(), Fate::left, "has reset it itself"};
    }
  }
}

void Play::wait_for_clients() {
  std::vector<pollfd> waits;
  std::vector<Exchange*> waiting;
  for (Cast& cast : casts_) {
    for (std::optional<Exchange>& exchange : cast.exchanges) {
      if (!exchange || exchange->is_over()) continue;
      waits.push_back(exchange->wanted());
      waiting.push_back(&*exchange);
    }
  }
  ::poll(waits.data(), waits.size(), 10);
  for (std::size_t i = 0; i < waits.size(); ++i) {
    if (waits[i].revents != 0) waiting[i]->advance();
  }
}

void Play::look() {
  for (std::size_t i = 0; i < casts_.size(); ++i) look_at(casts_[i], recording_.servers[i]);
}

void Play::look_at(Cast& cast, ServerRecord& record) {
  if (!record.ending && !cast.server->is_running())
    record.ending = {now(), *cast.server->wait_for_exit(0ms)};
  const auto table = peers(cast.server->port());
  for (std::size_t i = 0; i < cast.exchanges.size(); ++i) {
    const std::optional<Exchange>& exchange = cast.exchanges[i];
    ClientRecord& client = record.clients[i];
    if (!exchange || client.end) continue;
    if (exchange->step() == Exchange::Step::refused) {
      client.end = {now(), Fate::refused, "refused"};
    } else if (exchange->is_over()) {
      client.end = make_end(now(), exchange->answer(), client.changes.back().to);
    } else if (const auto peer = table.find(exchange->port());
               peer != table.end() && exchange->step() == Exchange::Step::reading) {
      const State state = state_of(peer->second);
      if (state != client.changes.back().to) client.changes.push_back({now(), state});
    }
  }
  record.disconnected = count_of(cast.server->out(), " disconnected; shutting down.\n");
  record.said = cast.server->err();
}

bool Play::is_over() const {
  const bool stops = recording_.scene.plot == Plot::ctrl_c;
  Time last = recording_.scene.length();
  bool all_over = recording_.happened.has_value();
  for (const ServerRecord& server : recording_.servers) {
    all_over = all_over && (server.ending || !stops);
    for (const ClientRecord& client : server.clients) {
      all_over = all_over && client.end;
      if (client.end) last = std::max(last, client.end->at);
    }
  }
  return all_over || now() > last + patience;
}
