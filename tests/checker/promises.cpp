#include "promises.hpp"

#include "load.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/parallel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <random>
#include <sstream>
#include <utility>

#include <sched.h>

using namespace std::chrono_literals;

namespace {

using std::to_string;

// "At once", on a busy machine: longer than that is the 5 s deadline of a silent client, or never.
constexpr auto at_once = 3s;

// Of the server that this thread has found still running: why. It is told after all other evidence.
thread_local std::string why_running;

Judgement kept(std::string evidence) {
  why_running.clear();
  return {Verdict::kept, std::move(evidence)};
}

Judgement broken(const std::string& evidence) {
  return {Verdict::broken, evidence + std::exchange(why_running, "")};
}

// How the server has ended, and what it said if it aborted.
std::string ending(Server& server) {
  const std::optional<Exit> exit = server.wait_for_exit(0ms);
  if (!exit) {
    why_running += why_it_runs(server.pid(), 5);
    return "still running";
  }
  if (!exit->by_signal(SIGABRT)) return exit->text();
  std::string said;
  std::istringstream words(server.err());
  for (std::string word; said.size() < 120 && words >> word;)
    said += (said.empty() ? "" : " ") + word;
  return exit->text() + " (" + said + ')';
}

std::string n_of_m(std::size_t n, std::size_t m) { return to_string(n) + " of " + to_string(m); }

// As many clients as that, or fewer if the server refuses one: it may have died of the others.
std::vector<Client> connect_many(const Server& server, std::size_t count,
                                 std::string_view request = {}) {
  std::vector<Client> clients;
  while (clients.size() < count) {
    std::optional<Client> client = Client::connect(server.port());
    if (!client) break;
    client->send(request);
    clients.push_back(std::move(*client));
  }
  return clients;
}

// How many of the clients' requests the server has read.
std::size_t count_read(const Server& server, const std::vector<Client>& clients) {
  const auto table = peers(server.port());
  return static_cast<std::size_t>(std::ranges::count_if(clients, [&](const Client& client) {
    const auto peer = table.find(client.port());
    return peer != table.end() && peer->second.accepted && peer->second.unread == 0;
  }));
}

std::size_t count_accepted(const Server& server, const std::vector<Client>& clients) {
  const auto table = peers(server.port());
  return static_cast<std::size_t>(std::ranges::count_if(clients, [&](const Client& client) {
    const auto peer = table.find(client.port());
    return peer != table.end() && peer->second.accepted;
  }));
}

// Waits until `count()` has reached `goal`, or has not grown for 30 looks: a server that serves one
// at a time never gets there. On a busy machine these take long; but a slow request, of 1 s, is not
// to be over by then. Returns the count.
template <typename Count>
std::size_t settle(Count count, std::size_t goal) {
  std::size_t last = count();
  auto grown = Clock::now();
  for (int unchanged = 0; last < goal && unchanged < 30 && Clock::now() < grown + 600ms;
       ++unchanged) {
    pause_for(10ms);
    if (const std::size_t now = count(); now != last) {
      last = now;
      unchanged = 0;
      grown = Clock::now();
    }
  }
  return last;
}

// Starts that many slow requests; returns once the server has them all in work, or as many as it
// will.
std::vector<Client> start_slow(const Server& server, std::size_t count) {
  std::vector<Client> clients = connect_many(server, count, request("/sleep"));
  settle([&] { return count_read(server, clients); }, count);
  return clients;
}

std::size_t count_ok(std::vector<Client>& clients, std::chrono::milliseconds limit = 20s) {
  const auto deadline = Clock::now() + limit;
  return static_cast<std::size_t>(std::ranges::count_if(clients, [&](Client& client) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    return client.read(std::max(left, 1ms)).is_ok();
  }));
}

bool port_closes(const Server& server) {
  return eventually([&] { return !is_listening(server.port()); }, at_once);
}

std::string signal_name(int signal) {
  return signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGHUP";
}

// Judges; whatever goes wrong in it is a broken promise, with the reason.
template <typename Judge>
Judgement guarded(Judge judge) {
  try {
    return judge();
  } catch (const std::exception& error) {
    return broken(error.what());
  }
}

// The first that is not kept, or both as one. Both at once, as they only wait; one after the other
// if the server cannot have two ports.
template <typename First, typename Second>
Judgement both(const Subject& subject, First judge_first, Second judge_second) {
  Judgement first;
  Judgement second;
  in_parallel(2, subject.knows("{port}") ? 2 : 1, [&](std::size_t i) {
    if (i == 0)
      first = guarded(judge_first);
    else
      second = guarded(judge_second);
  });
  if (first.verdict != Verdict::kept) return first;
  if (second.verdict != Verdict::kept) return second;
  return kept(first.evidence + "; " + second.evidence);
}

// --- 1
// ---------------------------------------------------------------------------------------------

struct Conversation {
  std::string name;
  std::vector<std::string> pieces;  // each sent when the one before has been read
  std::vector<int> statuses;        // any of these; 0: closed without an answer
  bool half_close = false;
  bool to_head = false;
  std::string says{};  // in the body
};

std::vector<Conversation> conversations() {
  const std::string get = request("/");
  std::vector<Conversation> all{
      {"GET /", {get}, {200}, false, false, "Hello!"},
      {"GET /sleep", {request("/sleep")}, {200}, false, false, "Hello!"},
      {"GET /nope", {request("/nope")}, {404}, false, false, "Oops!"},
      {"HEAD /", {request("/", "HEAD")}, {200}, false, true},
      {"a request in three pieces", {get.substr(0, 5), get.substr(5, 20), get.substr(25)}, {200}},
      {"a half-close after the request", {get}, {200}, true},
      {"a half-close within the request", {get.substr(0, 10)}, {0, 400}, true},
      {"an empty connection", {}, {0}, true},
      {"9 KiB of headers", {request("/", "GET", "X: " + std::string(9216, 'x') + "\r\n")}, {431}},
      {"a body of 1 MiB",
       {request("/", "POST", "Content-Length: 1048576\r\n") + std::string(1 << 20, 'x')},
       {200, 404, 405, 411, 413, 501}},
      {"bytes after the request", {get + "surplus"}, {200}},
      {"no HTTP at all", {"hello\r\n\r\n"}, {400}},
      {"more bytes while /sleep sleeps",
       {request("/sleep"), "more"},
       {200},
       false,
       false,
       "Hello!"},
      {"a target of 9 KiB", {request("/" + std::string(9216, 'x'))}, {414, 431}},
      {"a malformed HEAD", {"\r\nHEAD / HTTP/1.1\r\n\r\n"}, {400}, false, true},
      {"no Host", {"GET / HTTP/1.1\r\n\r\n"}, {400}},
  };
  std::mt19937 random(1);
  for (int i = 0; i < 50; ++i) {
    std::string bytes(random() % 600, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    all.push_back({"random bytes",
                   {bytes + (i % 2 == 0 ? "\r\n\r\n" : "")},
                   {0, 400, 404, 431, 501, 505},
                   true});
  }
  return all;
}

Answer hold(const Server& server, const Conversation& conversation) {
  Client client(server.port());
  for (const std::string& piece : conversation.pieces) {
    if (&piece != &conversation.pieces.front()) {
      eventually([&] { return peers(server.port())[client.port()].unread == 0; }, 1s);
    }
    client.send(piece);
  }
  if (conversation.half_close) client.half_close();
  return client.read();
}

// What is wrong with the answer; empty if nothing.
std::string fault(const Conversation& conversation, const Answer& answer) {
  const bool whole = answer.is_quiet_close() || answer.is_whole(conversation.to_head);
  const bool expected = std::ranges::count(conversation.statuses, answer.status()) != 0;
  if (!whole || !expected) return conversation.name + ": " + answer.text();
  const bool says = answer.body().find(conversation.says) != std::string::npos;
  return says ? "" : conversation.name + ": no " + conversation.says;
}

Judgement answers_whole(const Subject& subject) {
  Server server(subject, {.sleep = 1s});
  std::vector<std::string> faults;
  const std::vector<Conversation> all = conversations();
  for (const Conversation& conversation : all) {
    if (!server.is_running())
      return broken(ending(server) + ", before '" + conversation.name + "'");
    const std::string found = fault(conversation, hold(server, conversation));
    if (!found.empty()) faults.push_back(found);
  }
  if (faults.empty())
    return kept(to_string(all.size()) + " conversations, each a whole answer or a quiet close");
  return broken(n_of_m(faults.size(), all.size()) + " conversations went wrong; the first, " +
                faults.front());
}

// --- 2, 17
// -----------------------------------------------------------------------------------------

// Whether a fast request overtakes slow ones, of which each takes 3 s. Says what went wrong; empty
// if it does.
std::string waits_for(const std::string& what, const Server& server, std::vector<Client>& slow) {
  Client fast(server.port(), request("/"));
  const Answer answer = fast.read(2500ms);
  const bool too_late = std::ranges::any_of(
      slow, [](Client& client) { return client.read(0ms).end == Answer::End::closed; });
  if (too_late || answer.end == Answer::End::timed_out) return "a fast request waited for " + what;
  return answer.is_ok() ? "" : "beside " + what + ": " + answer.text();
}

Judgement nobody_blocks(const Subject& subject) {
  Server server(subject, {.sleep = 3s});
  std::vector<Client> slow = start_slow(server, 1);
  const std::string fault = waits_for("an earlier slow one", server, slow);
  if (!fault.empty()) return broken(fault);

  const std::vector<Client> silent = connect_many(server, 1);
  settle([&] { return count_accepted(server, silent); }, 1);
  Client beside(server.port(), request("/"));
  const Answer answer = beside.read(at_once);
  if (!answer.is_ok()) return broken("beside a silent client: " + answer.text());
  return kept("answered before an earlier /sleep, and beside a silent client");
}

Judgement all_workers_busy(const Subject& subject) {
  Server server(subject, {.sleep = 3s});
  std::vector<Client> slow = start_slow(server, subject.workers);
  const std::string what = to_string(subject.workers) + " slow requests";
  const std::string fault = waits_for(what, server, slow);
  return fault.empty() ? kept("a fast request overtook " + what) : broken(fault);
}

// --- 3
// ---------------------------------------------------------------------------------------------

// How many slow requests the server takes at the same time, up to as many as it has workers.
std::size_t taken_together(const Server& server, std::size_t workers) {
  const std::vector<Client> slow = start_slow(server, workers);
  return count_read(server, slow);
}

Judgement bounded_threads(const Subject& subject) {
  constexpr std::size_t crowd = 200;
  Server server(subject);
  const std::vector<Client> clients = connect_many(server, crowd);
  settle([&] { return count_accepted(server, clients); }, crowd);
  const std::size_t threads =
      settle([&] { return static_cast<std::size_t>(thread_count(server.pid())); }, crowd);
  if (clients.size() < crowd || !server.is_running()) return broken("does not take 200 clients");
  const std::string evidence =
      to_string(threads) + (threads == 1 ? " thread" : " threads") + " for 200 clients";
  return threads >= subject.workers + crowd / 2 ? broken(evidence) : kept(evidence);
}

// A worker that takes a wake-up for a job ends, sooner or later, and nobody notices.
Judgement keeps_its_workers(const Subject& subject) {
  constexpr std::size_t storm = 3000;
  const std::size_t before = taken_together(Server(subject, {.sleep = 1s}), subject.workers);
  Server server(subject, {.sleep = 1s});
  std::atomic<std::size_t> answered = 0;
  in_parallel(storm, 8, [&](std::size_t) { answered += ask(server.port(), "/").is_ok(); });
  if (answered != storm) return broken(n_of_m(answered, storm) + " requests in a storm answered");
  const std::size_t after = taken_together(server, subject.workers);
  const std::string evidence =
      "takes " + to_string(after) + " at a time after a storm of " + to_string(storm);
  if (after >= before) return kept(evidence);
  return broken(n_of_m(before - after, before) + " workers have left: " + evidence);
}

Judgement few_threads(const Subject& subject) {
  return both(
      subject, [&] { return bounded_threads(subject); },
      [&] { return keeps_its_workers(subject); });
}

// --- 4, 5
// ------------------------------------------------------------------------------------------

// As many requests as there are workers, and `queued` more. Without any queued, only those count
// that the server has read when the signal comes.
Judgement finishes(const Subject& subject, std::size_t queued, int signal) {
  Server server(subject, {.sleep = 1s});
  std::vector<Client> clients = connect_many(server, subject.workers + queued, request("/sleep"));
  if (queued > 0) {
    settle([&] { return count_accepted(server, clients); }, clients.size());
  } else {
    const std::size_t running = settle([&] { return count_read(server, clients); }, clients.size());
    clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(running), clients.end());
  }
  server.send(signal);
  const std::size_t answered = count_ok(clients);
  const std::optional<Exit> exit = server.wait_for_exit(5s);
  const std::string evidence = signal_name(signal) + ": " + n_of_m(answered, clients.size()) +
                               " answered, " + ending(server);
  return answered == clients.size() && exit && exit->with(0) ? kept(evidence) : broken(evidence);
}

Judgement finishes_running(const Subject& subject) {
  return both(
      subject, [&] { return finishes(subject, 0, SIGINT); },
      [&] { return finishes(subject, 0, SIGTERM); });
}

Judgement finishes_queued(const Subject& subject) { return finishes(subject, 6, SIGINT); }

// --- 6
// ---------------------------------------------------------------------------------------------

Judgement finishes_unaccepted(const Subject& subject) {
  Server server(subject);
  server.send(SIGSTOP);
  eventually([&] { return process_state(server.pid()) == 'T'; });
  std::vector<Client> clients = connect_many(server, 50, request("/"));
  server.send(SIGTERM);
  server.send(SIGCONT);
  const std::size_t answered = count_ok(clients);
  const std::optional<Exit> exit = server.wait_for_exit(5s);
  const std::string evidence = n_of_m(answered, 50) + " answered, " + ending(server);
  return answered == 50 && exit && exit->with(0) ? kept(evidence) : broken(evidence);
}

// --- 7
// ---------------------------------------------------------------------------------------------

Judgement frees_the_port(const Subject& subject) {
  Server server(subject, {.sleep = 2s});
  std::vector<Client> slow = start_slow(server, 1);
  server.send(SIGTERM);
  // Whose first packet is dropped, instead of refused, is refused a second later.
  Clock::duration took{};
  const auto is_refused = [&] {
    const auto start = Clock::now();
    const bool refused = !Client::connect(server.port());
    took = Clock::now() - start;
    return refused;
  };
  if (!eventually(is_refused, at_once)) return broken("late clients are not refused");
  // That may happen to the client that comes at the very instant of the refusal, not to the next.
  if (took > 800ms) is_refused();
  if (!server.is_running()) return broken(ending(server) + ", with a request in work");
  if (took > 800ms) return broken("a late client is kept waiting for its refusal");
  if (!port_closes(server)) return broken("the port stays open");

  Server successor(subject, {.port = server.port()});
  if (!ask(successor.port(), "/").is_ok())
    return broken("a new server on the port does not answer");
  if (!server.is_running()) return broken("the drain was over before the new server was there");
  const bool answered = slow.at(0).read().is_ok();
  const std::optional<Exit> exit = server.wait_for_exit(5s);
  const std::string evidence =
      "late client refused at once, new server on the port, " + ending(server);
  return answered && exit && exit->with(0) ? kept(evidence) : broken(evidence);
}

// --- 8
// ---------------------------------------------------------------------------------------------

Judgement silent_clients(const Subject& subject) {
  Server server(subject);
  const std::vector<Client> silent = connect_many(server, 100);
  std::vector<Client> trickling = connect_many(server, 5, "GET / HTTP/1.1\r\nX: ");
  settle([&] { return count_accepted(server, trickling); }, trickling.size());
  server.send(SIGTERM);
  const auto start = Clock::now();
  while (!server.wait_for_exit(50ms) && Clock::now() < start + 4s) {
    for (Client& client : trickling) client.send("x");
  }
  const std::optional<Exit> exit = server.wait_for_exit(0s);
  const std::string seconds =
      to_string(std::chrono::duration<double>(Clock::now() - start).count()).substr(0, 3);
  const std::string evidence = ending(server) + " " + seconds + " s after the stop";
  return exit && exit->with(0) ? kept(evidence) : broken(evidence);
}

// --- 9
// ---------------------------------------------------------------------------------------------

Judgement gives_up(const Subject& subject) {
  constexpr auto grace = 300ms;
  Server server(subject, {.grace = grace, .sleep = 10s});
  std::vector<Client> clients = start_slow(server, subject.workers);
  for (Client& client : connect_many(server, 2, request("/"))) clients.push_back(std::move(client));
  settle([&] { return count_accepted(server, clients); }, clients.size());
  const auto start = Clock::now();
  server.send(SIGTERM);
  const std::optional<Exit> exit = server.wait_for_exit(at_once);
  if (exit && exit->by_any_signal()) return broken(ending(server));
  if (!subject.knows("{grace}")) return {Verdict::not_judged, "its command has no {grace}"};
  const std::string said = server.err().substr(0, server.err().find('\n'));
  const std::string evidence = ending(server) + ", '" + said + "'";
  const bool gave_up = Clock::now() - start >= grace && exit && !exit->by_any_signal() &&
                       !exit->with(0) && !said.empty();
  return gave_up ? kept(evidence) : broken(evidence);
}

// --- 10
// --------------------------------------------------------------------------------------------

Judgement second_interrupt(const Subject& subject) {
  Server server(subject, {.sleep = 10s});
  const std::vector<Client> slow = start_slow(server, 1);
  server.send(SIGINT);
  if (!port_closes(server)) return broken("a first Ctrl-C does not stop it");
  if (!server.is_running()) return broken("the first Ctrl-C: " + ending(server));
  pause_for(400ms);  // within 0.3 s it would be the same key press
  server.send(SIGINT);
  const std::optional<Exit> exit = server.wait_for_exit(at_once);
  const std::string evidence = "a second Ctrl-C: " + ending(server);
  const bool quit = exit && (exit->with(130) || exit->by_signal(SIGINT));
  return quit ? kept(evidence) : broken(evidence);
}

// A request is running; its answer must come, whatever else is sent after the first signal.
Judgement drains_all_the_same(const Subject& subject, const std::string& name, int first,
                              const std::vector<int>& more) {
  Server server(subject, {.sleep = 1s});
  std::vector<Client> slow = start_slow(server, 1);
  server.send(first);
  if (first != more.front() && !port_closes(server)) return broken(name + ": the port stays open");
  for (const int signal : more) server.send(signal);
  const bool answered = slow.at(0).read().is_ok();
  const std::optional<Exit> exit = server.wait_for_exit(5s);
  const std::string evidence = name + ": " + (answered ? "answered, " : "cut, ") + ending(server);
  return answered && exit && exit->with(0) ? kept(evidence) : broken(evidence);
}

Judgement repeated_signals(const Subject& subject) {
  return both(
      subject, [&] { return second_interrupt(subject); },
      [&] {
        return both(
            subject,
            [&] {
              return drains_all_the_same(subject, "SIGTERM, then others, then a first Ctrl-C",
                                         SIGTERM, {SIGHUP, SIGTERM, SIGTERM, SIGINT});
            },
            [&] {
              return drains_all_the_same(subject, "one Ctrl-C, delivered twice", SIGINT, {SIGINT});
            });
      });
}

// --- 11
// --------------------------------------------------------------------------------------------

Judgement stops_at_any_instant(const Subject& subject) {
  constexpr int starts = 42;
  std::mt19937 random(11);
  for (int i = 0; i < starts; ++i) {
    const bool blocked = i % 2 == 1;
    Server server(subject, {}, {.signals_blocked = blocked});
    const auto instant = Clock::now() + std::chrono::microseconds(random() % 3000);
    while (Clock::now() < instant) {
    }
    const int signal = std::array{SIGINT, SIGTERM, SIGHUP}[static_cast<std::size_t>(i % 3)];
    server.send(signal);
    const std::optional<Exit> exit = server.wait_for_exit(at_once);
    if (!exit || !exit->with(0)) {
      return broken(signal_name(signal) + (blocked ? ", inherited blocked," : "") +
                    " on an idle server, start " + to_string(i + 1) + ": " + ending(server));
    }
  }
  return kept(n_of_m(starts, starts) + " starts ended with exit 0, at once");
}

// --- 12
// --------------------------------------------------------------------------------------------

Judgement takes_two(const Subject& subject) {
  if (!subject.knows("{take}")) return {Verdict::not_judged, "its command has no {take}"};
  Server server(subject, {.take = 2});
  std::vector<Client> clients = connect_many(server, 2, request("/sleep"));
  if (!port_closes(server)) return broken("the port is open after two connections");
  if (Client::connect(server.port())) return broken("a third client is not refused");
  const std::size_t answered = count_ok(clients);
  const std::optional<Exit> exit = server.wait_for_exit(5s);
  if (answered != 2 || !exit || !exit->with(0))
    return broken(n_of_m(answered, 2) + " answered, " + ending(server));

  Server with_silent(subject, {.take = 2});
  const std::vector<Client> silent = connect_many(with_silent, 1);
  Client client(with_silent.port(), request("/"));
  const bool ok = client.read().is_ok();
  const std::optional<Exit> end = with_silent.wait_for_exit(4s);
  if (!ok || !end || !end->with(0)) return broken("with a silent client: " + ending(with_silent));
  return kept("2 answered, the third refused, exit 0; also with a silent client");
}

// --- 13
// --------------------------------------------------------------------------------------------

// Clients that go away while their answer is being made: with an RST (then send() fails with
// ECONNRESET), or with a FIN and then an RST (EPIPE, and SIGPIPE unless it is ignored).
Judgement survives_resets(const Subject& subject, bool fin_first) {
  Server server(subject, {.sleep = 1s});
  const std::string name = fin_first ? "FIN, then RST: " : "RST: ";
  {
    std::vector<Client> rude = start_slow(server, subject.workers);
    if (fin_first) std::ranges::for_each(rude, &Client::half_close);
    std::ranges::for_each(rude, &Client::reset);
  }
  std::vector<Client> others = connect_many(server, subject.workers, request("/sleep"));
  const std::size_t answered = count_ok(others);
  const bool dead = !server.is_running();
  const std::string evidence = name + n_of_m(answered, subject.workers) + " others answered" +
                               (dead ? ", " + ending(server) : "");
  return answered == subject.workers && !dead ? kept(evidence) : broken(evidence);
}

Judgement rude_clients(const Subject& subject) {
  return both(
      subject, [&] { return survives_resets(subject, false); },
      [&] { return survives_resets(subject, true); });
}

// --- 14
// --------------------------------------------------------------------------------------------

Judgement out_of_descriptors(const Subject& subject) {
  constexpr int limit = 24;
  Server server(subject, {}, {.max_descriptors = limit});
  std::vector<Client> crowd = connect_many(server, 60);
  settle([&] { return static_cast<std::size_t>(descriptor_count(server.pid())); }, limit);
  server.wait_for_exit(300ms);  // now it has to do without
  if (!server.is_running()) return broken(ending(server) + " with 60 clients and 24 descriptors");
  if (descriptor_count(server.pid()) < limit)
    return {Verdict::not_judged, "takes one client at a time"};

  const double before = processor_seconds(server.pid());
  pause_for(1s);
  if (processor_seconds(server.pid()) - before > 0.05)
    return broken("spins while it has no descriptors");
  crowd.clear();
  Client client(server.port(), request("/"));
  if (const Answer answer = client.read(at_once); !answer.is_ok())
    return broken("does not recover: " + answer.text());

  crowd = connect_many(server, 40);
  settle([&] { return static_cast<std::size_t>(descriptor_count(server.pid())); }, limit);
  std::vector<Client> late = connect_many(server, 5, request("/"));
  server.send(SIGTERM);
  const std::size_t answered = count_ok(late);
  const std::optional<Exit> exit = server.wait_for_exit(4s);
  const std::string evidence =
      "waits without spinning, recovers; a stop meanwhile: " + n_of_m(answered, late.size()) +
      " answered, " + ending(server);
  return answered == late.size() && exit && exit->with(0) ? kept(evidence) : broken(evidence);
}

// --- 15
// --------------------------------------------------------------------------------------------

Judgement as_process_one(const Subject& subject) {
  for (const int namespaces : {CLONE_NEWPID, CLONE_NEWUSER | CLONE_NEWPID}) {
    try {
      Server server(subject, {.sleep = 600ms}, {.namespaces = namespaces});
      std::vector<Client> slow = start_slow(server, 1);
      server.send(SIGTERM);
      const bool answered = slow.at(0).read().is_ok();
      const std::optional<Exit> exit = server.wait_for_exit(at_once);
      if (!exit) return broken("SIGTERM is ignored");
      const std::string evidence = std::string(answered ? "answered, " : "cut, ") + ending(server);
      return answered && exit->with(0) ? kept(evidence) : broken(evidence);
    } catch (const std::system_error& refused) {
      // Not permitted, none left (user.max_user_namespaces), too deep, or unknown to the kernel.
      constexpr std::array refusals{EPERM, EACCES, ENOSPC, EUSERS, ENOSYS};
      if (std::ranges::count(refusals, refused.code().value()) == 0) throw;
    }
  }
  return {Verdict::not_judged, "no PID namespaces here"};
}

// --- 16
// --------------------------------------------------------------------------------------------

Judgement stops_under_load(const Subject& subject) {
  constexpr int max_stops = 60;
  std::mt19937 random(16);
  LoadResult all;
  int stops = 0;
  for (const auto end = Clock::now() + 30s; stops < max_stops && Clock::now() < end; ++stops) {
    Server server(subject, {.sleep = 20ms});
    const LoadResult result = stop_under_load(server, 16, 50 + random() % 200);
    const std::optional<Exit> exit = server.wait_for_exit(5s);
    if (!result.is_clean())
      return broken("stop " + to_string(stops + 1) + ": " + result.text() + "; " + ending(server));
    if (!exit || !exit->with(0)) return broken(ending(server) + " under load");
    all += result;
  }
  return kept(all.text() + ", in " + to_string(stops) + " stops");
}

constexpr auto K = Verdict::kept;
constexpr auto B = Verdict::broken;
constexpr auto N = Verdict::not_judged;

}  // namespace

std::span<const Promise> promises() {
  static constexpr std::array<Promise, 17> all{{
      {1,
       "a whole answer or a quiet close, always",
       "curl -i -H \"X: $(printf %09000d 0)\" localhost:7878/",
       {K, K, K, K},
       answers_whole},
      {2,
       "one slow or silent client blocks nobody",
       "curl localhost:7878/sleep & sleep 1; curl localhost:7878/",
       {B, K, K, K},
       nobody_blocks},
      {3,
       "200 clients do not make 200 threads",
       "for i in $(seq 200); do curl -s localhost:7878/sleep & done; sleep 1; ls /proc/$PID/task | "
       "wc -l",
       {K, B, K, K},
       few_threads},
      {4,
       "a stop: each running request is answered",
       "curl localhost:7878/sleep & sleep 1; kill -INT $PID; wait",
       {B, B, B, K},
       finishes_running},
      {5,
       "  and each one queued behind the workers",
       "for i in 1 2 3 4 5; do curl localhost:7878/sleep & done; sleep 1; kill -INT $PID; wait",
       {B, B, B, K},
       finishes_queued},
      {6,
       "  and each one in the kernel's queue",
       "kill -STOP $PID; for i in 1 2 3; do curl localhost:7878/ & done; sleep 1; kill -TERM $PID; "
       "kill -CONT $PID; wait",
       {B, B, B, K},
       finishes_unaccepted},
      {7,
       "  and late clients are refused at once",
       "curl localhost:7878/sleep & sleep 1; kill -TERM $PID; sleep 0.1; curl localhost:7878/",
       {B, B, B, K},
       frees_the_port},
      {8,
       "  and 100 silent clients do not delay it",
       "for i in $(seq 100); do (exec 3<>/dev/tcp/localhost/7878; sleep 9) & done; sleep 1; kill "
       "-TERM $PID",
       {B, B, B, K},
       silent_clients},
      {9,
       "  but it takes no longer than --grace-ms",
       "curl localhost:7878/sleep & sleep 1; kill -TERM $PID  # started with --grace-ms 300",
       {B, B, B, K},
       gives_up},
      {10,
       "a second Ctrl-C quits, 2nd SIGTERM not",
       "curl localhost:7878/sleep & sleep 1; kill -INT $PID; sleep 1; kill -INT $PID",
       {B, B, B, K},
       repeated_signals},
      {11,
       "a stop at any instant: exit 0, at once",
       "kill -TERM $PID  # then echo $? where it was started",
       {B, B, B, K},
       stops_at_any_instant},
      {12,
       "--take 2 answers two, refuses the third",
       "curl localhost:7878/; curl localhost:7878/; curl localhost:7878/  # started with --take 2",
       {N, N, N, K},
       takes_two},
      {13,
       "a client that resets ends only itself",
       "python3 -c \"import socket, struct, time; s = socket.create_connection(('localhost', "
       "7878)); "
       "s.send(b'GET /sleep HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); time.sleep(1); "
       "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\"",
       {B, B, B, K},
       rude_clients},
      {14,
       "out of descriptors it waits and recovers",
       "prlimit --pid $PID --nofile=24; for i in $(seq 60); do (exec 3<>/dev/tcp/localhost/7878; "
       "sleep 9) & done",
       {N, B, B, K},
       out_of_descriptors},
      {15,
       "a stop is a stop for process 1 as well",
       "sudo unshare --pid --fork ./my_server  # started so; then sudo pkill -TERM my_server",
       {B, B, B, K},
       as_process_one},
      {16,
       "stopped under full load it loses nobody",
       "for i in $(seq 16); do (while curl -so /dev/null localhost:7878/; do :; done; echo $?) & "
       "done; "
       "sleep 1; kill -TERM $PID",
       {B, B, B, K},
       stops_under_load},
      {17,
       "as many slow as workers delay nobody",
       "for i in 1 2 3 4; do curl localhost:7878/sleep & done; sleep 1; curl localhost:7878/",
       {B, K, B, B},
       all_workers_busy},
  }};
  return all;
}

Judgement judge(const Promise& promise, const Subject& subject) {
  return guarded([&] { return promise.judge(subject); });
}

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kept:
      return "kept";
    case Verdict::broken:
      return "broken";
    case Verdict::not_judged:
      break;
  }
  return "not judged here";
}
