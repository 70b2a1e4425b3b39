#include "desk.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <iterator>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sys/syscall.h>

using namespace std::chrono_literals;

namespace {

// How long to wait for what may never come; and for a stage to lose patience with a client who says
// nothing, after 5 s.
constexpr Time at_most_late = 3s;
constexpr Time for_the_silent = 6s;

// How long nothing has changed, where nothing will.
constexpr Time settling = 50ms;

// Between two bytes of a trickling client.
constexpr Time trickle = 200ms;

// Bytes of what a server says, see Process::out().
constexpr std::size_t most_kept = 1 << 20;

// Clients of the accept queue that a picture may name.
constexpr std::size_t most_waiting = 50;

std::string first_words(Kind kind) {
  if (kind == Kind::quick) return request("/");
  return kind == Kind::slow || kind == Kind::rude ? request("/sleep") : "";
}

// The system calls in which a server waits.
enum class Call { none, accept, poll, futex, sleep, read, write, other };

Call call_of(long number) {
  switch (number) {
    case -1:
      return Call::none;
    case SYS_accept:
    case SYS_accept4:
      return Call::accept;
#ifdef SYS_poll
    case SYS_poll:
    case SYS_select:
    case SYS_epoll_wait:
#endif
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_epoll_pwait:
      return Call::poll;
    case SYS_futex:
      return Call::futex;
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      return Call::sleep;
    case SYS_read:
    case SYS_recvfrom:
    case SYS_recvmsg:
      return Call::read;
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
      return Call::write;
    default:
      return Call::other;
  }
}

// Of any server.
std::string waits_in(Call call) {
  constexpr std::array<std::string_view, 8> names{
      "waits",  "waits in accept()", "waits in poll()", "waits in futex()",
      "sleeps", "waits in read()",   "writes",          "waits in a system call"};
  return std::string(names.at(static_cast<std::size_t>(call)));
}

// Of a stage, of which we know who waits where for what.
std::string waits_for(Call call, bool is_main, const std::string& name) {
  if (call == Call::accept) return "accept() for a client";
  if (is_main && call == Call::poll) return "poll() for a client";
  if (is_main && call == Call::futex) return "waits for workers";
  if (name == "watch") return call == Call::poll ? "waits for a stop" : "waits for the end";
  if (call == Call::sleep) return "/sleep";
  if (call == Call::poll || call == Call::read) return "waits for its client";
  if (call == Call::futex) return name.starts_with("worker") ? "waits for a job" : "waits";
  return waits_in(call);
}

Doing doing(const Thread& thread, std::string name, bool is_main, bool is_stage) {
  const Call call = call_of(thread.call);
  const bool worker = name.starts_with("worker ");
  Doing result{std::move(name), "runs", call == Call::sleep, worker && call == Call::futex};
  if (thread.state == 'T')
    result.what = "stopped";
  else if (thread.state != 'R' && (call != Call::none || thread.state == 'S'))
    result.what = is_stage ? waits_for(call, is_main, result.thread) : waits_in(call);
  return result;
}

// The stages' threads have no names of their own. The workers are started last, one after the
// other; who comes before them in stage 4 watches over the grace period.
std::map<pid_t, std::string> names_of(const std::vector<Thread>& threads, std::size_t workers) {
  std::map<pid_t, std::string> names;
  if (threads.size() <= workers) return names;  // not all of them are there
  const std::size_t first = threads.size() - workers;
  for (std::size_t i = 1; i < threads.size(); ++i)
    names[threads[i].id] = i < first ? "watch" : "worker " + std::to_string(i - first);
  return names;
}

// Which threads have which clients, as far as it can be told: whoever sleeps has one that wants
// /sleep, and each of both kinds has them in the order in which they became jobs. Nothing is said
// where the numbers differ.
void infer(std::vector<Doing*> threads, const ServerRecord& record,
           const std::vector<std::size_t>& clients) {
  for (const bool sleeps : {true, false}) {
    std::vector<Doing*> who;
    std::vector<std::size_t> whom;
    std::ranges::copy_if(threads, std::back_inserter(who),
                         [&](const Doing* doing) { return doing->sleeps == sleeps; });
    std::ranges::copy_if(clients, std::back_inserter(whom), [&](std::size_t client) {
      const Kind kind = record.clients[client].kind;
      return (kind == Kind::slow || kind == Kind::rude) == sleeps;
    });
    for (std::size_t i = 0; who.size() == whom.size() && i < who.size(); ++i)
      who[i]->client = whom[i];
  }
}

// As much of it as fits, without what a terminal, or XML, would take for something else.
std::string printable(std::string_view text) {
  std::string line(text.substr(0, 200));
  std::ranges::replace_if(line, [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
  return line;
}

}  // namespace

Desk::Desk(std::span<const Role> roles, const Conditions& conditions, std::string title)
    : recording_{
          .title = std::move(title), .sleep = conditions.sleep, .workers = conditions.workers} {
  for (const Role& role : roles) {
    Subject subject = role.subject;
    subject.workers = conditions.workers;
    auto server = std::make_unique<Server>(subject, Run{.sleep = conditions.sleep});
    recording_.servers.push_back({role.name, server->listener(), server->port(), role.has_pool});
    seats_.push_back({std::move(server), role});
  }
  start_ = Clock::now();
}

Time Desk::now() const { return std::chrono::duration_cast<Time>(Clock::now() - start_); }

void Desk::connect(Kind kind, std::size_t count) {
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    for (std::size_t client = 0; client < count; ++client) {
      const Time at = now();
      seats_[i].exchanges.emplace_back(recording_.servers[i].port, first_words(kind));
      ClientRecord record{kind};
      record.changes.push_back({at, State::connecting});
      std::vector<ClientRecord>& clients = recording_.servers[i].clients;
      clients.push_back(std::move(record));
      clients[clients.size() - 1 - client].batch = client + 1;  // if the next one throws
    }
  }
  touched_ = now();
}

bool Desk::send(int signal, std::string name) {
  step({}, 0ms);  // as late as can be: how things stood is what it is all about
  bool sent = false;
  for (Seat& seat : seats_) {
    if (!seat.server->is_running()) continue;
    sent = true;
    if (signal == SIGSTOP)
      seat.server->freeze();
    else if (signal == SIGCONT)
      seat.server->thaw();
    else
      seat.server->send(signal);
  }
  if (sent)
    recording_.marks.push_back({now(), std::move(name), signal != SIGSTOP && signal != SIGCONT});
  touched_ = now();
  return sent;
}

void Desk::step(std::span<pollfd> others, Time limit) {
  std::vector<pollfd> waits(others.begin(), others.end());
  std::vector<Exchange*> waiting;
  for (Seat& seat : seats_) {
    for (Exchange& exchange : seat.exchanges) {
      if (exchange.is_over()) continue;
      waits.push_back(exchange.wanted());
      waiting.push_back(&exchange);
    }
  }
  ::poll(waits.data(), waits.size(), static_cast<int>(limit.count()));  // by a signal: sooner
  std::ranges::copy(std::span(waits).first(others.size()), others.begin());
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waits[others.size() + i].revents != 0) waiting[i]->advance();
  }
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    advance(seats_[i], recording_.servers[i]);
    look_at(seats_[i], recording_.servers[i]);
  }
  recording_.now = now();
}

// What the clients do by themselves, as time goes by.
void Desk::advance(Seat& seat, ServerRecord& record) {
  static const std::string words = request("/");
  for (std::size_t i = 0; i < seat.exchanges.size(); ++i) {
    Exchange& exchange = seat.exchanges[i];
    ClientRecord& client = record.clients[i];
    if (exchange.step() != Exchange::Step::reading) continue;
    const Time since = now() - client.changes.front().at;
    if (client.kind == Kind::trickling) {
      const auto due = std::min(static_cast<std::size_t>(since / trickle), words.size());
      for (; client.sent < due; ++client.sent)
        exchange.send(std::string_view(words).substr(client.sent, 1));
    } else if (client.kind == Kind::rude && client.changes.back().to == State::served &&
               now() >= client.changes.back().at + recording_.sleep / 2) {
      exchange.abandon();
      client.end = {now(), Fate::left, "reset by the client"};
    }
  }
}

void Desk::look_at(Seat& seat, ServerRecord& record) {
  const bool ends = !record.ending && !seat.server->is_running();
  listen_to(seat, record, ends);
  if (ends) {
    record.ending = {now(), *seat.server->wait_for_exit(0ms)};
  }
  // The kernel goes through all connections there are, which is most of what a look costs.
  const bool has_clients = !std::ranges::all_of(
      record.clients, [](const auto& client) { return client.end.has_value(); });
  const auto table = has_clients ? peers(record.port) : std::map<std::uint16_t, Peer>{};
  follow(seat, record, table);
  Snapshot current = look(seat, record, table);
  if (record.snapshots.empty() || record.snapshots.back().second != current)
    record.snapshots.emplace_back(now(), std::move(current));
}

// Where each client is.
void Desk::follow(Seat& seat, ServerRecord& record, const std::map<std::uint16_t, Peer>& table) {
  std::size_t place = 0;  // in the order in which connections are accepted, and become jobs
  for (std::size_t i = 0; i < seat.exchanges.size(); ++i) {
    const Exchange& exchange = seat.exchanges[i];
    ClientRecord& client = record.clients[i];
    const auto peer = table.find(exchange.port());
    if (!client.end && exchange.step() == Exchange::Step::refused) {
      client.end = {now(), Fate::refused, "refused"};
    } else if (!client.end && exchange.is_over()) {
      client.end = make_end(now(), exchange.answer(), client.kind, client.changes.back().to);
    } else if (!client.end && peer != table.end() && exchange.step() == Exchange::Step::reading) {
      // Who has sent nothing has nothing unread: whether a worker waits for it, its order tells.
      const bool is_job = record.has_pool && place >= seat.workers.size();
      const bool is_silent =
          client.kind == Kind::silent || (client.kind == Kind::trickling && client.sent == 0);
      const bool unread = peer->second.unread > 0 || (is_job && is_silent);
      const State state = !peer->second.accepted ? State::in_kernel
                          : unread               ? State::accepted
                                                 : State::served;
      if (state != client.changes.back().to) client.changes.push_back({now(), state});
    } else if (exchange.step() == Exchange::Step::reading &&
               client.changes.back().to == State::connecting) {
      client.changes.push_back({now(), State::in_kernel});  // and out of its table already
    }
    if (client.changes.back().to != State::connecting) ++place;
  }
}

// Takes what it has said since, line by line; at its end also a line that it did not finish.
void Desk::listen_to(Seat& seat, ServerRecord& record, bool ends) {
  for (const bool on_stderr : {false, true}) {
    std::string text = on_stderr ? seat.server->err() : seat.server->out();
    if (ends && !text.empty() && text.back() != '\n') text += '\n';
    std::size_t& read = seat.read.at(on_stderr ? 1 : 0);
    // No more of it is kept, so nothing can be inferred from it.
    if (!on_stderr && text.size() >= most_kept) record.has_pool = false;
    for (std::size_t end; (end = text.find('\n', read)) != std::string::npos; read = end + 1) {
      const std::string line = printable(std::string_view(text).substr(read, end - read));
      if (record.said.size() < 10'000) record.said.push_back({now(), on_stderr, line});
      if (record.has_pool && line.ends_with(" got a job; executing."))
        seat.workers.push_back(line.substr(7, line.find(' ', 7) - 7));
    }
  }
}

Snapshot Desk::look(Seat& seat, const ServerRecord& record,
                    const std::map<std::uint16_t, Peer>& table) {
  Snapshot result;
  if (record.ending) return result;
  result.queue = accept_queue(record.port);
  result.resident = resident_size(record.pid) >> 20;
  result.mapped = memory_size(record.pid) >> 20;
  std::vector<std::size_t> served;
  for (std::size_t i = 0; i < record.clients.size(); ++i) {
    if (record.clients[i].end) continue;
    const State state = record.clients[i].changes.back().to;
    const auto peer = table.find(seat.exchanges[i].port());
    if (state == State::in_kernel && result.waiting.size() < most_waiting)
      result.waiting.push_back({i, peer == table.end() ? 0 : peer->second.unread});
    if (state == State::served) served.push_back(i);
    if (state == State::accepted && record.has_pool) result.jobs.push_back(i);
  }
  const std::vector<Thread> all = threads(record.pid);
  if (seat.role.has_pool && seat.names.empty()) seat.names = names_of(all, recording_.workers);
  for (const Thread& thread : all) {
    const bool is_main = thread.id == record.pid;
    const auto known = seat.names.find(thread.id);
    std::string name = is_main ? "main" : known != seat.names.end() ? known->second : "thread";
    result.threads.push_back(doing(thread, std::move(name), is_main, seat.role.is_stage));
  }
  if (seat.role.is_stage) infer(busy(seat, record, result.threads), record, served);
  return result;
}

// The threads that may have a client, the one that got its job first before the others.
std::vector<Doing*> Desk::busy(const Seat& seat, const ServerRecord& record,
                               std::vector<Doing>& threads) {
  std::vector<Doing*> found;
  for (Doing& doing : threads) {
    const bool is_main = &doing == &threads.front();
    const bool may_have =
        record.has_pool ? doing.thread.starts_with("worker ") : is_main == (threads.size() == 1);
    if (may_have && !doing.idle) found.push_back(&doing);
  }
  const auto last_job = [&](const Doing* doing) {
    const std::string id = doing->thread.substr(std::min<std::size_t>(7, doing->thread.size()));
    const auto job = std::find(seat.workers.rbegin(), seat.workers.rend(), id);
    return seat.workers.rend() - job;
  };
  if (record.has_pool) std::ranges::stable_sort(found, std::ranges::less{}, last_job);
  return found;
}

bool Desk::is_settled() const {
  return std::ranges::all_of(recording_.servers, [&](const ServerRecord& server) {
    return std::ranges::all_of(server.clients, [&](const ClientRecord& client) {
      if (client.end) return true;
      return client.changes.back().to != State::connecting &&
             client.changes.back().at + settling < now();
    });
  });
}

bool Desk::is_over() const {
  const bool stops = recording_.stop().has_value();
  bool all_over = true;
  Time last = touched_;
  Time patience = at_most_late;
  for (const ServerRecord& server : recording_.servers) {
    all_over = all_over && (server.ending || !stops);
    for (const ClientRecord& client : server.clients) {
      all_over = all_over && client.end;
      last = std::max(last, client.end ? client.end->at : client.changes.back().at);
      if (!client.end && (client.kind == Kind::silent || client.kind == Kind::trickling))
        patience = for_the_silent;
    }
  }
  return all_over || now() > last + recording_.sleep + patience;
}

void Desk::close() {
  recording_.over = true;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    ServerRecord& server = recording_.servers[i];
    if (!recording_.stop() || server.ending) continue;
    // Only what each one waits for: whether that may still come, the class is asked.
    server.why = why_it_runs(server.pid, 1);
    server.why = server.why.substr(0, server.why.find("\n No circle"));
  }
}
