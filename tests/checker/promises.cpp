#include "promises.hpp"

#include "load.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/parallel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <system_error>
#include <utility>

#include <sched.h>
#include <sys/resource.h>

using namespace std::chrono_literals;

namespace {

using std::to_string;
using milliseconds = std::chrono::milliseconds;

// "At once", on a busy machine: longer than that is the 5 s deadline of a silent client, or never.
constexpr auto at_once = 3s;
// How long an answer and an exit may take, beyond what a /sleep in progress takes.
constexpr auto patience = 5s;

// Of the server that this thread has found still running: why. It is told after all other evidence.
thread_local std::string why_running;

// What shows by hand that part of a promise which is being judged. It is said before the part,
// since an exception may end it.
thread_local std::string by_hand;

Judgement kept(std::string evidence) { return {Verdict::kept, std::move(evidence)}; }

Judgement broken(const std::string& evidence) {
  return {Verdict::broken, evidence + std::exchange(why_running, "")};
}

Judgement not_judged(std::string why) { return {Verdict::not_judged, std::move(why)}; }

// What differs from seed to seed, so that no number tells a server what it is judged for. Without a
// seed it is the usual one.
thread_local std::optional<std::mt19937> dice;

unsigned below(unsigned end) { return dice ? (*dice)() % end : 0; }

template <typename Value>
Value about(Value usual) {
  return dice ? usual * static_cast<int>(80 + below(51)) / 100 : usual;
}

std::size_t about(std::size_t usual) { return dice ? usual * (80 + below(51)) / 100 : usual; }

std::string missing_page() {
  std::string path = dice ? "/" : "/nope";
  while (dice && path.size() < 9) path += static_cast<char>('a' + below(26));
  return path;
}

// How long /sleep takes in a run that asks for `told`.
milliseconds sleep_of(const Subject& subject, milliseconds told) {
  return subject.knows("{sleep}") ? told : subject.sleep;
}

std::string in_ms(milliseconds time) { return to_string(time.count()) + " ms"; }

// How the server has ended, and what it said if it aborted.
std::string ending(Server& server) {
  const std::optional<Exit> exit = server.wait_for_exit(0ms);
  if (!exit) {
    const bool listens = std::ranges::count(server.processes(), server.listener()) != 0;
    why_running += why_it_runs(listens ? server.listener() : server.pid(), 5);
    return "still running";
  }
  if (!exit->by_signal(SIGABRT)) return exit->text();
  std::string said;
  std::istringstream words(server.err());
  for (std::string word; said.size() < 120 && words >> word;)
    said += (said.empty() ? "" : " ") + word;
  return exit->text() + " (" + said + ')';
}

// One more client. Throws std::runtime_error if it is not let in: with how the server has ended, if
// that is why.
Client let_in(Server& server, const std::string& when, std::string_view request = {}) {
  std::optional<Client> client =
      server.is_running() ? Client::connect(server.port()) : std::nullopt;
  if (!client && server.wait_for_exit(1s)) {
    std::string said = server.err();
    if (said.ends_with('\n')) said.pop_back();
    if (!said.empty()) said = "; on stderr: " + said.substr(said.rfind('\n') + 1);
    throw std::runtime_error(ending(server) + when + said);
  }
  if (!client) throw std::runtime_error("a client is not let in" + when);
  client->send(request);
  return std::move(*client);
}

bool ends_with_0(Server& server, milliseconds limit) {
  const std::optional<Exit> exit = server.wait_for_exit(limit);
  return exit && exit->with(0);
}

std::string n_of_m(std::size_t n, std::size_t m) { return to_string(n) + " of " + to_string(m); }

// As many clients as that, or fewer if one is refused, or not let in for `let_in`: the server may
// have died of the others, or its accept queue may be full. Then the kernel drops who knocks, who
// would knock again only after a second.
std::vector<Client> connect_many(const Server& server, std::size_t count,
                                 std::string_view request = {}, milliseconds let_in = 3s) {
  constexpr auto knock = 50ms;
  std::vector<Client> clients;
  auto last = Clock::now();
  while (clients.size() < count) {
    const auto start = Clock::now();
    if (std::optional<Client> client = Client::connect(server.port(), knock)) {
      client->send(request);
      clients.push_back(std::move(*client));
      last = Clock::now();
    } else if (Clock::now() < start + knock || Clock::now() > last + let_in) {
      break;
    }
  }
  return clients;
}

std::size_t count_accepted(const Server& server, const std::vector<Client>& clients) {
  const auto table = peers(server.port());
  return static_cast<std::size_t>(std::ranges::count_if(clients, [&](const Client& client) {
    const auto peer = table.find(client.port());
    return peer != table.end() && peer->second.accepted;
  }));
}

// Is the client's request in progress: read, and not yet answered?
auto in_work(const Server& server) {
  return [table = peers(server.port())](const Client& client) {
    const auto peer = table.find(client.port());
    return peer != table.end() && peer->second.accepted && peer->second.unread == 0 &&
           !client.has_answer();
  };
}

std::size_t count_running(const Server& server, const std::vector<Client>& clients) {
  return static_cast<std::size_t>(std::ranges::count_if(clients, in_work(server)));
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

// Until one of the requests is in progress, or the first is answered. On a busy machine that may
// take long.
void await_first(const Server& server, const std::vector<Client>& clients) {
  eventually(
      [&] {
        return count_running(server, clients) > 0 ||
               std::ranges::any_of(clients, &Client::has_answer);
      },
      at_once);
}

// Starts that many slow requests; returns once the server has them all in progress, or as many as
// it will.
std::vector<Client> start_slow(const Server& server, std::size_t count) {
  std::vector<Client> clients = connect_many(server, count, request("/sleep"));
  await_first(server, clients);
  settle([&] { return count_running(server, clients); }, count);
  pause_for(50ms);  // one that does not sleep is read for a moment, too
  return clients;
}

// What is promised of requests in progress can be seen only while one is.
Judgement none_running(const Subject& subject, const std::vector<Client>& slow) {
  const bool answered = std::ranges::any_of(slow, &Client::has_answer);
  if (answered && !subject.knows("{sleep}") && subject.sleep < 1s)
    return not_judged("its /sleep, of " + in_ms(subject.sleep) +
                      ", is over too soon to be judged: 1 s or more is needed");
  return broken("none of " + to_string(slow.size()) + " requests for /sleep is in progress: " +
                (answered ? "it does not sleep" : "the server does not read them"));
}

// Of the clients of one promise: how many were answered, and what the first other one got.
struct Outcome {
  std::size_t answered = 0;
  std::size_t clients = 0;
  std::string other{};

  bool all() const { return answered == clients; }
  // "3 of 4 answered (200, whole, and then a reset)"
  std::string text() const {
    const bool says_more =
        !other.empty() && std::isdigit(static_cast<unsigned char>(other[0])) != 0;
    return n_of_m(answered, clients) + " answered" + (says_more ? " (" + other + ")" : "");
  }
};

// Reads all answers. Who has one closes its side as well: a server may wait for that.
Outcome read_all(std::vector<Client>& clients, milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  Outcome outcome{0, clients.size()};
  for (Client& client : clients) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    const Answer answer = client.read(std::max(left, 1ms));
    if (answer.end == Answer::End::closed) client.half_close();
    if (answer.is_ok())
      ++outcome.answered;
    else if (outcome.other.empty())
      outcome.other = answer.text();
  }
  return outcome;
}

bool is_answered(Client& client, milliseconds limit) {
  const bool answered = client.read(limit).is_ok();
  client.half_close();
  return answered;
}

// Who is let in, and then reset, was not refused.
bool is_refused(std::uint16_t port) {
  try {
    return !Client::connect(port);
  } catch (const WasReset&) {
    return false;
  }
}

bool port_closes(const Server& server) {
  return eventually([&] { return !is_listening(server.port()); }, at_once);
}

// As kill takes it.
std::string short_name(int signal) {
  return signal == SIGINT ? "INT" : signal == SIGTERM ? "TERM" : "HUP";
}

std::string signal_name(int signal) { return "SIG" + short_name(signal); }

// The first that is not kept, or all of them as one.
template <typename... Judges>
Judgement all_of(Judges... judges) {
  Judgement all = kept("");
  const auto add = [&](auto judge) {
    const Judgement next = judge();
    if (next.verdict != Verdict::kept)
      all = next;
    else
      all.evidence += (all.evidence.empty() ? "" : "; ") + next.evidence;
    return next.verdict == Verdict::kept;
  };
  (add(judges) && ...);
  return all;
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

// To what is no request: the status that says best what is wrong, or any other that says as much.
const std::vector<int> refusals{400, 404, 405, 408, 411, 413, 414, 431, 501, 505};

std::vector<Conversation> conversations(const Subject& subject) {
  const std::string get = request("/");
  const std::string missing = missing_page();
  const std::size_t large = about(std::size_t{9216});
  std::vector<int> or_200 = refusals;
  or_200.push_back(200);
  std::vector<Conversation> all{
      {"GET /", {get}, {200}, false, false, subject.hello},
      {"GET /sleep", {request("/sleep")}, {200}, false, false, subject.hello},
      {"GET " + missing, {request(missing)}, {404}, false, false, subject.oops},
      {"HEAD /", {request("/", "HEAD")}, {200}, false, true},
      {"a request in three pieces", {get.substr(0, 5), get.substr(5, 20), get.substr(25)}, {200}},
      {"a half-close after the request", {get}, {200}, true},
      {"a half-close within the request", {get.substr(0, 10)}, {0, 400, 408}, true},
      {"an empty connection", {}, {0, 400, 408}, true},
      {"9 KiB of headers", {request("/", "GET", "X: " + std::string(large, 'x') + "\r\n")}, or_200},
      {"a body of 1 MiB",
       {request("/", "POST", "Content-Length: 1048576\r\n") + std::string(1 << 20, 'x')},
       or_200},
      {"bytes after the request", {get + "surplus"}, {200}},
      {"no HTTP at all", {"hello\r\n\r\n"}, refusals},
      {"more bytes while /sleep sleeps",
       {request("/sleep"), "more"},
       {200},
       false,
       false,
       subject.hello},
      {"a target of 9 KiB", {request("/" + std::string(large, 'x'))}, or_200},
      {"a malformed HEAD", {"\r\nHEAD / HTTP/1.1\r\n\r\n"}, {400}, false, true},
      {"no Host", {"GET / HTTP/1.1\r\n\r\n"}, {400}},
      {"names of fields in lower case",
       {"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"},
       {200}},
      {"names of fields in upper case",
       {"GET / HTTP/1.1\r\nHOST: localhost\r\nCONNECTION: close\r\n\r\n"},
       {200}},
  };
  std::mt19937 random(dice ? (*dice)() : 1);
  for (int i = 0; i < 48; ++i) {
    std::string bytes(random() % 600, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    std::vector<int> statuses = refusals;
    statuses.push_back(0);
    all.push_back({"random bytes", {bytes + (i % 2 == 0 ? "\r\n\r\n" : "")}, statuses, true});
  }
  if (dice) std::ranges::shuffle(all, *dice);
  return all;
}

Answer hold(const Server& server, Client& client, const Conversation& conversation,
            milliseconds limit) {
  for (const std::string& piece : conversation.pieces) {
    if (&piece != &conversation.pieces.front()) {
      eventually([&] { return peers(server.port())[client.port()].unread == 0; }, 1s);
    }
    client.send(piece);
  }
  if (conversation.half_close) client.half_close();
  return client.read(limit, conversation.to_head);
}

// What is wrong with the answer; empty if nothing. Who cannot make out the request may not know
// that it is a HEAD, and send a body.
std::string fault(const Conversation& conversation, const Answer& answer) {
  if (answer.is_quiet_close() && std::ranges::count(conversation.statuses, 0) != 0) return "";
  const bool to_head =
      conversation.to_head && (answer.status() != 400 || answer.is_whole(conversation.to_head));
  const std::string found = conversation.name + ": " + answer.text(to_head);
  if (!answer.is_whole(to_head)) return found;
  if (std::ranges::count(conversation.statuses, answer.status()) == 0)
    return found + ", instead of " + to_string(conversation.statuses.front());
  const bool says = answer.body(to_head).find(conversation.says) != std::string::npos;
  return says ? "" : conversation.name + ": no " + conversation.says;
}

// As Python spells bytes, with nothing in it that a shell or its history would take for itself.
std::string python_bytes(std::string_view bytes) {
  std::string text = "b'";
  while (!bytes.empty()) {
    const char c = bytes.front();
    const std::size_t run = std::min(bytes.find_first_not_of(c), bytes.size());
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                          std::string_view(" /:.,-").find(c) != std::string_view::npos;
    std::array<char, 5> spelt{c};
    if (!is_plain) std::snprintf(spelt.data(), spelt.size(), "\\x%02x", c & 0xff);
    const std::string one = c == '\r' ? "\\r" : c == '\n' ? "\\n" : spelt.data();
    const bool is_long = run > 30;
    text += is_long ? "' + b'" + one + "' * " + to_string(run) + " + b'" : one;
    bytes.remove_prefix(is_long ? run : 1);
  }
  text += '\'';
  return text.ends_with(" + b''") ? text.substr(0, text.size() - 6) : text;
}

// The same conversation, from a terminal.
std::string typed(const Conversation& conversation) {
  std::string line =
      "python3 -c \"import socket, time; s = socket.create_connection(('localhost', 7878), 9)";
  for (const std::string& piece : conversation.pieces) {
    if (&piece != &conversation.pieces.front()) line += "; time.sleep(0.2)";
    line += "; s.sendall(" + python_bytes(piece) + ')';
  }
  if (conversation.half_close) line += "; s.shutdown(1)";
  return line + "; [print(part) for part in iter(lambda: s.recv(9999), b'')]\"";
}

Judgement answers_whole(const Subject& subject) {
  constexpr std::size_t enough_silence = 3;
  const auto sleep = about(1000ms);
  Server server(subject, {.sleep = sleep});
  const milliseconds limit = sleep_of(subject, sleep) + patience;
  std::size_t wrong = 0;
  std::string first;
  std::string first_by_hand;
  std::vector<std::string> besides;  // each name once
  std::size_t silent = 0;            // in a row
  const std::vector<Conversation> all = conversations(subject);
  for (const Conversation& conversation : all) {
    // Who dies of a conversation may still listen a moment later.
    Client client = let_in(server, ", before '" + conversation.name + '\'');
    by_hand = typed(conversation);
    const Answer answer = hold(server, client, conversation, limit);
    if (const std::string found = fault(conversation, answer); !found.empty()) {
      if (wrong++ == 0) {
        first = found;
        first_by_hand = by_hand;
      } else if (std::ranges::count(besides, conversation.name) == 0) {
        besides.push_back(conversation.name);
      }
    }
    silent = answer.end == Answer::End::timed_out && answer.bytes.empty() ? silent + 1 : 0;
    if (silent == enough_silence) {
      by_hand = first_by_hand;
      return broken("no answer in three conversations one after the other, of " + in_ms(limit) +
                    " each; the first, " + first);
    }
  }
  if (server.wait_for_exit(100ms)) return broken(ending(server) + ", after the last conversation");
  if (wrong == 0)
    return kept(to_string(all.size()) + " conversations, each with a full answer or a clean close");
  by_hand = first_by_hand;
  std::string evidence =
      n_of_m(wrong, all.size()) + " conversations went wrong; the first, " + first;
  for (const std::string& name : besides)
    evidence += (name == besides.front() ? "; besides: " : ", ") + name;
  return broken(evidence);
}

// --- 2, 17
// -----------------------------------------------------------------------------------------

// Whether a fast request overtakes slow ones, of which each takes `sleep`. nullopt if it does.
std::optional<Judgement> waits_for(const std::string& what, Server& server, const Subject& subject,
                                   std::vector<Client>& slow, milliseconds sleep,
                                   Clock::time_point start) {
  const auto any_over = [&] { return std::ranges::any_of(slow, &Client::has_answer); };
  if (any_over() && Clock::now() < start + sleep_of(subject, sleep) * 4 / 5)
    return none_running(subject, slow);
  if (any_over())
    return not_judged("its /sleep, of " + in_ms(subject.sleep) +
                      ", is over before a fast request can be sent: 1 s or more is needed");
  if (count_running(server, slow) == 0) return none_running(subject, slow);
  Client fast = let_in(server, ", beside " + what, request("/"));
  const Answer answer = fast.read(std::max(sleep_of(subject, sleep) * 5 / 6, 1000ms));
  const bool in_vain = answer.end == Answer::End::timed_out && !answer.is_whole();
  if (in_vain && !slow.front().read(sleep_of(subject, sleep)).is_whole())
    return broken("no answer, neither to " + what + " nor to a fast request beside");
  if (any_over() || in_vain) return broken("a fast request waited for " + what);
  if (!answer.is_ok()) return broken("beside " + what + ": " + answer.text());
  return std::nullopt;
}

Judgement nobody_blocks(const Subject& subject) {
  by_hand = "curl localhost:7878/sleep & sleep 0.5; curl localhost:7878/";
  const auto sleep = about(3000ms);
  Server server(subject, {.sleep = sleep});
  const auto start = Clock::now();
  std::vector<Client> slow = start_slow(server, 1);
  if (const auto fault = waits_for("an earlier slow one", server, subject, slow, sleep, start))
    return *fault;

  by_hand = "exec 3<>/dev/tcp/localhost/7878; curl -m 5 localhost:7878/; exec 3>&-";
  const std::vector<Client> silent = connect_many(server, 1);
  settle([&] { return count_accepted(server, silent); }, 1);
  Client beside = let_in(server, ", despite a silent client", request("/"));
  const Answer answer = beside.read(at_once);
  if (!answer.is_ok()) return broken("despite a silent client: " + answer.text());
  return kept("answered ahead of an earlier /sleep, and despite a silent client");
}

Judgement all_workers_busy(const Subject& subject) {
  by_hand =
      "for i in $(seq {workers}); do curl localhost:7878/sleep & done; sleep 0.5; curl "
      "localhost:7878/";
  const auto sleep = about(3000ms);
  Server server(subject, {.sleep = sleep});
  const auto start = Clock::now();
  std::vector<Client> slow = start_slow(server, subject.workers);
  const std::string what = to_string(subject.workers) + " slow requests";
  if (const auto fault = waits_for(what, server, subject, slow, sleep, start)) return *fault;
  return kept("a fast request overtook " + what);
}

// --- 3
// ---------------------------------------------------------------------------------------------

// How many of the slow requests that it has in progress the server serves at the same time: what it
// only reads, to serve it later, is answered a /sleep later.
std::size_t served_together(const std::vector<Client>& slow, milliseconds sleep) {
  const auto count_answered = [&] { return std::ranges::count_if(slow, &Client::has_answer); };
  eventually([&] { return count_answered() > 0; }, sleep + patience);
  eventually([&] { return count_answered() == std::ssize(slow); }, sleep * 3 / 4);
  const auto is_served = [](const Client& client) { return client.peek().is_ok(); };
  return static_cast<std::size_t>(std::ranges::count_if(slow, is_served));
}

// A process is no cheaper than a thread: of all of the server's, together.
std::size_t threads_of(const Server& server) {
  const std::vector<pid_t> all = server.processes();
  return std::accumulate(all.begin(), all.end(), std::size_t{0}, [](std::size_t sum, pid_t pid) {
    return sum + static_cast<std::size_t>(thread_count(pid));
  });
}

Judgement bounded_threads(const Subject& subject) {
  by_hand =
      "for i in $(seq 200); do curl -s localhost:7878/sleep & done; sleep 0.5; "
      "ps -eLo pgid= | grep -cw $(ps -o pgid= $PID)";
  const std::size_t crowd = std::max(about(std::size_t{200}), 2 * subject.workers);
  Server server(subject, {.sleep = about(10000ms)});
  const std::vector<Client> clients = connect_many(server, crowd, request("/sleep"));
  if (clients.empty() || !server.is_running())
    return broken("did not accept " + to_string(crowd) + " clients: " + ending(server));
  settle([&] { return count_accepted(server, clients); }, clients.size());
  const std::size_t threads = settle([&] { return threads_of(server); }, crowd);
  const std::size_t processes = server.processes().size();
  const std::string evidence = to_string(threads) + (threads == 1 ? " thread" : " threads") +
                               (processes > 1 ? " in " + to_string(processes) + " processes" : "") +
                               " for " + to_string(clients.size()) + " clients";
  return threads >= subject.workers + crowd / 2 ? broken(evidence) : kept(evidence);
}

// A worker that takes a wake-up for a job ends, sooner or later, and nobody notices.
Judgement keeps_its_workers(const Subject& subject) {
  by_hand =
      "(for i in $(seq 8); do curl -so /dev/null -w '%{http_code}\\n' -H 'Connection: close' "
      "'localhost:7878/[1-375]' & done; wait) | sort | uniq -c; "
      "time (for i in $(seq {workers}); do curl -s localhost:7878/sleep & done; wait)";
  const std::size_t storm = about(std::size_t{3000});
  constexpr std::size_t fewest = 100;
  const Run run{.sleep = 1s};
  const milliseconds sleep = sleep_of(subject, *run.sleep);
  // Where the kernel chooses whose client it is, as with SO_REUSEPORT, it does not choose evenly.
  std::size_t before = subject.workers;
  for (int look = 0; look < 2; ++look) {
    Server server(subject, run);
    const std::vector<Client> slow = start_slow(server, subject.workers);
    if (count_running(server, slow) == 0) return none_running(subject, slow);
    before = std::min(before, served_together(slow, sleep));
    if (before == 0) return broken(n_of_m(0, slow.size()) + " requests for /sleep answered");
  }
  Server server(subject, run);
  const auto end = Clock::now() + 4s;  // who is slow has fewer
  std::atomic<std::size_t> asked = 0;
  std::atomic<std::size_t> answered = 0;
  in_parallel(storm, 8, [&](std::size_t) {
    if (Clock::now() > end) return;
    ++asked;
    std::optional<Client> client = Client::connect(server.port());
    if (client) client->send(request("/"));
    answered += client && client->read(patience).is_ok();
  });
  if (answered != asked)
    return broken(n_of_m(answered, asked) + " requests in a storm answered" +
                  (server.wait_for_exit(100ms) ? ", " + ending(server) : ""));
  if (asked < fewest) return not_judged("a storm of only " + to_string(asked) + " requests in 4 s");
  // A worker that has left is never there again; one that was late is.
  std::size_t after = 0;
  for (int look = 0; look < 4 && after < before; ++look) {
    std::vector<Client> slow = start_slow(server, subject.workers);
    after = std::max(after, served_together(slow, sleep));
    if (after == 0) break;
    if (after < before)  // the next look is at all of them, none with a job
      read_all(slow, sleep * static_cast<int>(subject.workers) + patience);
  }
  const std::string evidence =
      "serves " + to_string(after) + " at a time after a storm of " + to_string(asked);
  if (after >= before) return kept(evidence);
  return broken(n_of_m(before - after, before) + " workers have left: " + evidence);
}

Judgement few_threads(const Subject& subject) {
  return all_of([&] { return bounded_threads(subject); },
                [&] { return keeps_its_workers(subject); });
}

// --- 4, 5
// ------------------------------------------------------------------------------------------

// As many requests as there are workers, and `queued` more. Without any queued, only those count
// that are in progress when the signal comes.
Judgement finishes(const Subject& subject, std::size_t queued, int signal) {
  by_hand = "for i in $(seq " + (queued == 0 ? "{workers}" : to_string(subject.workers + queued)) +
            "); do curl localhost:7878/sleep & done; sleep 0.5; kill -" + short_name(signal) +
            " $PID; wait";
  const auto sleep = about(1000ms);
  Server server(subject, {.sleep = sleep});
  std::vector<Client> clients = connect_many(server, subject.workers + queued, request("/sleep"));
  await_first(server, clients);
  if (queued > 0) {
    settle([&] { return count_accepted(server, clients); }, clients.size());
    if (count_running(server, clients) == 0) return none_running(subject, clients);
  } else {
    const std::size_t running =
        settle([&] { return count_running(server, clients); }, clients.size());
    if (running == 0) return none_running(subject, clients);
    std::erase_if(clients, std::not_fn(in_work(server)));
  }
  server.send(signal);
  // In the worst case they are served one after the other.
  const milliseconds rounds = sleep_of(subject, sleep) * static_cast<int>(clients.size());
  const auto start = Clock::now();
  const Outcome outcome = read_all(clients, rounds + patience);
  const auto left = start + rounds + patience - Clock::now();
  const bool ended = ends_with_0(server, std::max(std::chrono::ceil<milliseconds>(left), 1000ms));
  const std::string evidence = signal_name(signal) + ": " + outcome.text() + ", " + ending(server);
  return outcome.all() && ended ? kept(evidence) : broken(evidence);
}

Judgement finishes_running(const Subject& subject) {
  return all_of([&] { return finishes(subject, 0, SIGINT); },
                [&] { return finishes(subject, 0, SIGTERM); });
}

Judgement finishes_queued(const Subject& subject) {
  return finishes(subject, about(std::size_t{6}), SIGINT);
}

// --- 6
// ---------------------------------------------------------------------------------------------

// Those that the kernel has completed while the server does nothing: as many as its accept queue
// takes.
Judgement finishes_unaccepted(const Subject& subject) {
  by_hand =
      "kill -STOP $PID; for i in $(seq 50); do curl localhost:7878/ & done; sleep 1; kill -TERM "
      "$PID; kill -CONT $PID; wait";
  Server server(subject);
  if (!server.freeze()) return not_judged("SIGSTOP does not stop it");
  std::vector<Client> clients = connect_many(server, about(std::size_t{50}), request("/"), 300ms);
  const auto table = peers(server.port());
  if (clients.empty()) return not_judged("its accept queue takes no client");
  std::erase_if(clients, [&](const Client& client) { return !table.contains(client.port()); });
  if (clients.empty()) return not_judged("another process has sent it SIGCONT");
  server.send(SIGTERM);
  server.thaw();
  const Outcome outcome = read_all(clients, 2 * patience);
  const bool ended = ends_with_0(server, patience);
  const std::string evidence = outcome.text() + ", " + ending(server);
  return outcome.all() && ended ? kept(evidence) : broken(evidence);
}

// --- 7
// ---------------------------------------------------------------------------------------------

Judgement frees_the_port(const Subject& subject) {
  by_hand =
      "curl localhost:7878/sleep & sleep 0.5; kill -TERM $PID; sleep 0.1; curl localhost:7878/; "
      "wait";
  auto sleep = about(2000ms);
  const auto start = Clock::now();
  std::optional<Server> first(std::in_place, subject, Run{.sleep = sleep});
  // A new server has to be there before the drain ends.
  const auto took_to_start = std::chrono::ceil<milliseconds>(Clock::now() - start);
  if (took_to_start > 1s && subject.knows("{sleep}")) {
    first.reset();
    sleep += 2 * took_to_start;
    first.emplace(subject, Run{.sleep = sleep});
  }
  Server& server = *first;
  std::vector<Client> slow = start_slow(server, 1);
  if (count_running(server, slow) == 0) return none_running(subject, slow);
  server.send(SIGTERM);
  // Whose first packet is dropped, instead of refused, is refused a second later.
  Clock::duration took{};
  const auto refuses = [&] {
    const auto start = Clock::now();
    const bool refused = is_refused(server.port());
    took = Clock::now() - start;
    return refused;
  };
  if (!eventually(refuses, at_once)) return broken("late clients are not refused");
  // That may happen to the client that comes at the very instant of the refusal, not to the next.
  if (took > 800ms) refuses();
  if (!server.is_running())
    return broken(slow.at(0).read(0ms).is_ok()
                      ? "late clients are refused only once it has ended: " + ending(server)
                      : ending(server) + ", with a request in progress");
  if (took > 800ms) return broken("a late client is kept waiting for its refusal");
  if (!port_closes(server)) return broken("the port stays open");

  by_hand =
      "curl localhost:7878/sleep & sleep 0.5; kill -TERM $PID; sleep 0.2; {server} & sleep 1; "
      "curl localhost:7878/; kill $!; wait";
  Server successor(subject, {.port = server.port()});
  if (const Answer answer = ask(successor.port(), "/"); !answer.is_ok())
    return broken("a new server on the port: " + answer.text());
  if (!server.is_running() && took_to_start > sleep_of(subject, sleep) / 2)
    return not_judged("a new server takes longer to start than a /sleep lasts");
  if (!server.is_running()) return broken("the drain ended before the new server was up");
  const bool answered = is_answered(slow.at(0), sleep_of(subject, sleep) + patience);
  const bool ended = ends_with_0(server, patience);
  const std::string evidence =
      "late client refused immediately, new server on the port, " + ending(server);
  return answered && ended ? kept(evidence)
                           : broken(evidence + (answered ? "" : ", the running request cut off"));
}

// --- 8
// ---------------------------------------------------------------------------------------------

Judgement silent_clients(const Subject& subject) {
  by_hand =
      "for i in $(seq 100); do (exec 3<>/dev/tcp/localhost/7878; sleep 9) & done; for i in $(seq "
      "5); do (exec 3<>/dev/tcp/localhost/7878; printf 'GET / HTTP/1.1\\r\\nX: ' >&3; while printf "
      "x >&3; do sleep 0.05; done) & done; sleep 1; kill -TERM $PID; time tail --pid=$PID -f "
      "/dev/null";
  Server server(subject);
  const std::vector<Client> silent = connect_many(server, about(std::size_t{100}));
  std::vector<Client> trickling = connect_many(server, 5, "GET / HTTP/1.1\r\nX: ");
  if (trickling.size() < 5)
    return not_judged("it lets in only " + to_string(silent.size()) + " silent clients");
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
  by_hand =
      "curl localhost:7878/sleep & sleep 0.5; kill -TERM $PID; wait"
      "  # started as: {server with grace}";
  const auto grace = about(300ms);
  const auto sleep = about(10000ms);
  Server server(subject, {.grace = grace, .sleep = sleep});
  std::vector<Client> clients = start_slow(server, subject.workers);
  if (count_running(server, clients) == 0) return none_running(subject, clients);
  for (Client& client : connect_many(server, 2, request("/"))) clients.push_back(std::move(client));
  settle([&] { return count_accepted(server, clients); }, clients.size());
  const std::size_t said_before = server.err().size();
  const auto start = Clock::now();
  server.send(SIGTERM);
  const std::optional<Exit> exit = server.wait_for_exit(at_once);
  if (exit && exit->by_any_signal()) return broken(ending(server));
  if (!subject.knows("{grace}")) return not_judged("its command has no {grace}");
  if (sleep_of(subject, sleep) < grace + 1s)
    return not_judged("its /sleep, of " + in_ms(subject.sleep) + ", is no longer than the grace");
  const std::string all_said = server.err().substr(said_before);
  const std::string said = all_said.substr(0, all_said.find('\n'));
  const std::string evidence =
      ending(server) + (said.empty() ? ", with nothing on stderr" : ", '" + said + "'");
  const bool gave_up = Clock::now() - start >= grace && exit && !exit->by_any_signal() &&
                       !exit->with(0) && !said.empty();
  return gave_up ? kept(evidence) : broken(evidence);
}

// --- 10
// --------------------------------------------------------------------------------------------

Judgement second_interrupt(const Subject& subject) {
  by_hand =
      "curl localhost:7878/sleep & sleep 0.5; kill -INT $PID; sleep 0.3; curl localhost:7878/; "
      "wait";
  Server server(subject, {.sleep = about(10000ms)});
  std::vector<Client> slow = start_slow(server, 1);
  if (count_running(server, slow) == 0) return none_running(subject, slow);
  server.send(SIGINT);
  if (!port_closes(server)) return broken("3 s after a first Ctrl-C its port is still open");
  by_hand =
      "curl localhost:7878/sleep & sleep 0.5; kill -INT $PID; sleep 0.4; kill -INT $PID; wait";
  if (!server.is_running()) return broken("the first Ctrl-C: " + ending(server));
  pause_for(about(400ms) + 100ms);  // within 0.3 s it would be the same key press
  if (!server.is_running() && !subject.knows("{sleep}") && slow.at(0).read(0ms).is_ok())
    return not_judged("its /sleep is over before a second Ctrl-C");
  server.send(SIGINT);
  const std::optional<Exit> exit = server.wait_for_exit(at_once);
  const std::string evidence = "a second Ctrl-C: " + ending(server);
  const bool quit = exit && (exit->with(130) || exit->by_signal(SIGINT));
  return quit ? kept(evidence) : broken(evidence + ", instead of 130");
}

// A request is running; its answer must come, whatever else is sent after the first signal.
Judgement drains_regardless(const Subject& subject, const std::string& name, int first,
                            const std::vector<int>& more) {
  by_hand = "curl localhost:7878/sleep & sleep 0.5; kill -" + short_name(first) + " $PID; ";
  if (first != more.front()) by_hand += "sleep 0.2; ";
  for (const int signal : more) by_hand += "kill -" + short_name(signal) + " $PID; ";
  by_hand += "wait";
  const auto sleep = about(1000ms);
  Server server(subject, {.sleep = sleep});
  std::vector<Client> slow = start_slow(server, 1);
  if (count_running(server, slow) == 0) return none_running(subject, slow);
  server.send(first);
  if (first != more.front() && !port_closes(server)) return broken(name + ": the port stays open");
  for (const int signal : more) server.send(signal);
  const bool answered = is_answered(slow.at(0), sleep_of(subject, sleep) + patience);
  const bool ended = ends_with_0(server, patience);
  const std::string evidence =
      name + ": " + (answered ? "answered, " : "cut off, ") + ending(server);
  return answered && ended ? kept(evidence) : broken(evidence);
}

Judgement repeated_signals(const Subject& subject) {
  return all_of(
      [&] { return second_interrupt(subject); },
      [&] {
        return drains_regardless(subject, "SIGTERM, then others, then a first Ctrl-C", SIGTERM,
                                 {SIGHUP, SIGTERM, SIGTERM, SIGINT});
      },
      [&] { return drains_regardless(subject, "one Ctrl-C, delivered twice", SIGINT, {SIGINT}); });
}

// --- 11
// --------------------------------------------------------------------------------------------

constexpr std::string_view with_signals_blocked =
    "python3 -c \"import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, "
    "signal.valid_signals()); os.execvp(sys.argv[1], sys.argv[1:])\" ";

Judgement stops_at_any_instant(const Subject& subject) {
  constexpr int starts = 42;
  constexpr int fewest = 6;  // each signal, inherited blocked and not
  std::mt19937 random(dice ? (*dice)() : 11);
  const auto end = Clock::now() + 12s;
  int start = 0;
  for (; start < starts && (start < fewest || Clock::now() < end); ++start) {
    const bool blocked = start % 2 == 1;
    const int signal = std::array{SIGINT, SIGTERM, SIGHUP}[static_cast<std::size_t>(start % 3)];
    const std::string command = (blocked ? std::string(with_signals_blocked) : "") + "{server}";
    by_hand = "kill -" + short_name(signal) + " $PID  # started as: " + command;
    if (start >= fewest)  // then it is a matter of the instant
      by_hand = "for i in $(seq 42); do " + command +
                " & until (: <>/dev/tcp/localhost/7878) 2>/dev/null; do :; done; kill -" +
                short_name(signal) + " $!; wait $!; echo $?; done  # and no other server";
    Server server(subject, {}, {.signals_blocked = blocked});
    const auto instant = Clock::now() + std::chrono::microseconds(random() % 3000);
    while (Clock::now() < instant) {
    }
    server.send(signal);
    if (!ends_with_0(server, at_once)) {
      return broken(signal_name(signal) + (blocked ? ", which its parent had blocked," : "") +
                    " on an idle server, start " + to_string(start + 1) + ": " + ending(server));
    }
  }
  return kept(n_of_m(static_cast<std::size_t>(start), static_cast<std::size_t>(start)) +
              " starts ended immediately, with exit 0");
}

// --- 12
// --------------------------------------------------------------------------------------------

Judgement takes_a_few(const Subject& subject) {
  by_hand =
      "for i in 1 2; do curl localhost:7878/sleep & done; sleep 0.5; curl localhost:7878/; wait"
      "  # started as: {server with take}";
  if (!subject.knows("{take}")) return not_judged("its command has no {take}");
  const auto count = static_cast<std::size_t>(2 + below(3));
  const Run run{.take = static_cast<int>(count), .sleep = about(400ms)};
  Server server(subject, run);
  std::vector<Client> clients = connect_many(server, count, request("/sleep"));
  if (!port_closes(server))
    return broken("the port is open after " + to_string(count) + " connections");
  if (!is_refused(server.port())) return broken("one more client is not refused");
  const milliseconds rounds = sleep_of(subject, *run.sleep) * static_cast<int>(count);
  const Outcome outcome = read_all(clients, rounds + patience);
  if (const bool ended = ends_with_0(server, patience); outcome.answered != count || !ended)
    return broken(outcome.text() + ", " + ending(server));

  by_hand =
      "exec 3<>/dev/tcp/localhost/7878; curl localhost:7878/; time tail --pid=$PID -f /dev/null"
      "  # started as: {server with take}";
  Server with_silent(subject, run);
  const std::vector<Client> silent = connect_many(with_silent, 1);
  std::vector<Client> others = connect_many(with_silent, count - 1, request("/"));
  const Outcome beside = read_all(others, 2 * patience);
  if (const bool ended = ends_with_0(with_silent, 4s); beside.answered != count - 1 || !ended)
    return broken("with a silent client: " + beside.text() + ", " + ending(with_silent));
  return kept(to_string(count) + " answered, the next refused, exit 0; also with a silent client");
}

// --- 13
// --------------------------------------------------------------------------------------------

// Clients that go away while their answer is being made: with an RST (then send() fails with
// ECONNRESET), or with a FIN and then an RST (EPIPE, and SIGPIPE unless it is ignored).
Judgement survives_resets(const Subject& subject, bool fin_first) {
  by_hand =
      "python3 -c \"import socket, struct, time; rude = [socket.create_connection(('localhost', "
      "7878)) for i in range({workers})]; [s.send(b'GET /sleep HTTP/1.1\\r\\nHost: "
      "a\\r\\n\\r\\n') for s in rude]; time.sleep(0.5); ";
  if (fin_first) by_hand += "[s.shutdown(1) for s in rude]; ";
  by_hand +=
      "[s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)) for s in "
      "rude]\"; for i in $(seq {workers}); do curl localhost:7878/sleep & done; wait";
  const auto sleep = about(1000ms);
  Server server(subject, {.sleep = sleep});
  const std::string name = fin_first ? "FIN, then RST: " : "RST: ";
  {
    std::vector<Client> rude = start_slow(server, subject.workers);
    if (count_running(server, rude) == 0) return none_running(subject, rude);
    if (fin_first) std::ranges::for_each(rude, &Client::half_close);
    std::ranges::for_each(rude, &Client::reset);
  }
  std::vector<Client> others = connect_many(server, subject.workers, request("/sleep"));
  const milliseconds rounds =
      2 * sleep_of(subject, sleep) * static_cast<int>(subject.workers);  // one after the other
  const std::size_t answered = read_all(others, rounds + patience).answered;
  // Whoever dies closes its sockets first, and has not ended yet.
  const bool dead = server.wait_for_exit(answered == subject.workers ? 0ms : 1000ms).has_value();
  const std::string evidence = name + n_of_m(answered, subject.workers) + " others answered" +
                               (dead ? ", " + ending(server) : "");
  return answered == subject.workers && !dead ? kept(evidence) : broken(evidence);
}

Judgement rude_clients(const Subject& subject) {
  return all_of([&] { return survives_resets(subject, false); },
                [&] { return survives_resets(subject, true); });
}

// --- 14
// --------------------------------------------------------------------------------------------

// Of that process which has the most: those it accepts with.
std::size_t descriptors_of(const Server& server) {
  int most = 0;
  for (const pid_t pid : server.acceptors()) most = std::max(most, descriptor_count(pid));
  return static_cast<std::size_t>(most);
}

double processor_seconds_of(const Server& server) {
  double sum = 0;
  for (const pid_t pid : server.processes()) sum += processor_seconds(pid);
  return sum;
}

// From now on each process of it has room for that many descriptors more. The limit that a program
// is started with would tell it what it is judged for.
std::size_t limit_descriptors(const Server& server, std::size_t more) {
  const rlim_t most = descriptors_of(server) + more;
  const rlimit limit{most, most};
  for (const pid_t pid : server.processes()) {
    if (::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr) == -1 && errno != ESRCH)
      throw std::system_error(errno, std::generic_category(), "cannot limit its descriptors");
  }
  return most;
}

// That many silent clients, in a terminal, and what is to be seen beside them.
std::string beside_silent(int clients, const std::string& then) {
  return "prlimit --pid $PID --nofile=$(($(ls /proc/$PID/fd | wc -l) + 16)); for i in $(seq " +
         to_string(clients) + "); do (exec 3<>/dev/tcp/localhost/7878; sleep 9) & done; sleep 1; " +
         then;
}

Judgement out_of_descriptors(const Subject& subject) {
  by_hand = beside_silent(60, "curl -m 2 localhost:7878/");
  Server server(subject);
  const std::size_t limit = limit_descriptors(server, about(std::size_t{16}));
  std::vector<Client> crowd;
  try {
    crowd = connect_many(server, 60);
  } catch (const WasReset&) {
    if (!server.wait_for_exit(at_once)) throw;
  }
  settle([&] { return descriptors_of(server); }, limit);
  server.wait_for_exit(300ms);  // now it has to do without
  const std::string among =
      " with " + to_string(crowd.size()) + " clients and " + to_string(limit) + " descriptors";
  if (!server.is_running()) return broken(ending(server) + among);
  if (count_accepted(server, crowd) <= 1) return not_judged("takes one client at a time");

  by_hand =
      beside_silent(60, "ticks() { cut -d' ' -f14,15 /proc/$PID/stat; }; ticks; sleep 1; ticks");
  const bool had_all = descriptors_of(server) < limit;
  const double before = processor_seconds_of(server);
  pause_for(1s);
  if (const double used = processor_seconds_of(server) - before; used > 0.15)
    return broken("spins while out of descriptors: " + to_string(used).substr(0, 4) +
                  " s of CPU time in a second");
  by_hand = beside_silent(60, "wait; curl -m 3 localhost:7878/");
  crowd.clear();
  Client client =
      let_in(server, ", after " + to_string(limit) + " descriptors were in use", request("/"));
  if (const Answer answer = client.read(at_once); !answer.is_ok())
    return broken("does not recover: " + answer.text());

  by_hand =
      beside_silent(20,
                    "for i in 1 2 3 4 5; do curl localhost:7878/ & done; sleep 1; kill -TERM $PID; "
                    "time tail --pid=$PID -f /dev/null");
  // No more than it has descriptors for: its accept queue may be short, and is for the late ones.
  // It may still be closing those of the first crowd.
  for (int more = 0; more < 3 && descriptors_of(server) < limit; ++more) {
    std::ranges::move(connect_many(server, limit - descriptors_of(server)),
                      std::back_inserter(crowd));
    settle([&] { return descriptors_of(server); }, limit);
  }
  std::vector<Client> late = connect_many(server, 5, request("/"));
  if (late.size() < 5)
    return not_judged("without descriptors it lets in only " + n_of_m(late.size(), 5) + " clients");
  server.send(SIGTERM);
  const Outcome outcome = read_all(late, 2 * patience);
  const bool ended = ends_with_0(server, 4s);
  const std::string stop = "a stop without descriptors: " + outcome.text() + ", " + ending(server);
  if (!outcome.all() || !ended) return broken(stop);
  return kept((had_all ? "never runs out of them; " : "waits without spinning, recovers; ") + stop);
}

// --- 15
// --------------------------------------------------------------------------------------------

// The server in a namespace of its own; nullptr where none is to be had.
std::unique_ptr<Server> start_as_process_one(const Subject& subject, milliseconds sleep) {
  for (const int namespaces : {CLONE_NEWPID, CLONE_NEWUSER | CLONE_NEWPID}) {
    try {
      return std::make_unique<Server>(subject, Run{.sleep = sleep},
                                      Launch{.namespaces = namespaces});
    } catch (const std::system_error& refused) {
      // Not permitted, none left (user.max_user_namespaces), too deep, or unknown to the kernel.
      constexpr std::array refusals{EPERM, EACCES, ENOSPC, EUSERS, ENOSYS, EINVAL};
      if (std::ranges::count(refusals, refused.code().value()) == 0) throw;
    }
  }
  return nullptr;
}

Judgement as_process_one(const Subject& subject) {
  by_hand =
      "curl localhost:7878/sleep & sleep 0.5; kill -TERM $PID; wait"
      "  # started as: unshare -Ur --pid --fork {server}";
  const auto sleep = about(600ms);
  const std::unique_ptr<Server> server = start_as_process_one(subject, sleep);
  if (server == nullptr) return not_judged("cannot create a PID namespace here");
  std::vector<Client> slow = start_slow(*server, 1);
  if (count_running(*server, slow) == 0) return none_running(subject, slow);
  server->send(SIGTERM);
  const bool answered = is_answered(slow.at(0), sleep_of(subject, sleep) + patience);
  const bool ended = ends_with_0(*server, patience);
  if (server->is_running()) return broken("SIGTERM does not end it: " + ending(*server));
  const std::string evidence = std::string(answered ? "answered, " : "cut off, ") + ending(*server);
  return answered && ended ? kept(evidence) : broken(evidence);
}

// --- 16
// --------------------------------------------------------------------------------------------

Judgement stops_under_load(const Subject& subject) {
  by_hand =
      "for i in $(seq 16); do (curl --fail-early -so /dev/null -H 'Connection: close' "
      "'localhost:7878/[1-99999]'; echo $?) & done; sleep 1; kill -TERM $PID; wait"
      "  # a race: try it several times";
  constexpr int most = 60;
  constexpr int fewest = 5;
  std::mt19937 random(dice ? (*dice)() : 16);
  LoadResult all;
  int stops = 0;
  for (const auto end = Clock::now() + 15s; stops < most && Clock::now() < end; ++stops) {
    Server server(subject, {.sleep = about(20ms)});
    const LoadResult result = stop_under_load(server, about(std::size_t{16}), 50 + random() % 200);
    const bool ended = ends_with_0(server, patience);
    if (!result.is_clean())
      return broken("stop " + to_string(stops + 1) + ": " + result.text() + "; " + ending(server));
    if (!ended) return broken(ending(server) + " under load");
    if (result.answered == 0) return broken("no client was answered under load");
    all += result;
  }
  if (stops < fewest) return not_judged("only " + to_string(stops) + " stops in 15 s");
  return kept(all.text() + ", in " + to_string(stops) + " stops");
}

constexpr auto K = Verdict::kept;
constexpr auto B = Verdict::broken;
constexpr auto N = Verdict::not_judged;

}  // namespace

std::span<const Promise> promises() {
  static constexpr std::array<Promise, 17> all{{
      {1, "always a full answer or a clean close", {K, K, K, K}, answers_whole},
      {2, "one slow or silent client blocks no one", {B, K, K, K}, nobody_blocks},
      {3, "200 clients do not need 200 threads", {K, B, K, K}, few_threads},
      {4, "on shutdown: running requests finish", {B, B, B, K}, finishes_running},
      {5, "  requests waiting for a worker finish", {B, B, B, K}, finishes_queued},
      {6, "  requests in the accept queue finish", {B, B, B, K}, finishes_unaccepted},
      {7, "  late clients are refused immediately", {B, B, B, K}, frees_the_port},
      {8, "  100 silent clients cannot delay it", {B, B, B, K}, silent_clients},
      {9, "  it takes no longer than --grace-ms", {B, B, B, K}, gives_up},
      {10, "2nd Ctrl-C quits; 2nd SIGTERM is ignored", {B, B, B, K}, repeated_signals},
      {11, "stopped at any time, it exits 0 quickly", {B, B, B, K}, stops_at_any_instant},
      {12, "--take 2: serves two, refuses the third", {N, N, N, K}, takes_a_few},
      {13, "a client's reset harms only that client", {B, B, B, K}, rude_clients},
      {14, "out of descriptors: waits, then recovers", {N, B, B, K}, out_of_descriptors},
      {15, "as process 1, it still obeys SIGTERM", {B, B, B, K}, as_process_one},
      {16, "stopped under full load, it loses no one", {B, B, B, K}, stops_under_load},
      {17, "one slow client per worker blocks no one", {B, K, B, B}, all_workers_busy},
  }};
  return all;
}

Judgement judge(const Promise& promise, const Subject& subject, unsigned seed) {
  why_running.clear();
  by_hand.clear();
  dice.reset();
  Subject varied = subject;
  if (seed != 0) {
    std::seed_seq both{seed, static_cast<unsigned>(promise.number)};
    dice.emplace(both);
    field_names = static_cast<FieldNames>(below(3));
    if (subject.knows("{workers}")) varied.workers = 3 + below(4);
  }
  Judgement judgement;
  try {
    judgement = promise.judge(varied);
  } catch (const OutOfTime& over) {
    judgement = {Verdict::not_judged, over.what(), Trouble::time};
  } catch (const std::system_error& error) {
    judgement = {Verdict::not_judged, error.what(), Trouble::ours};
  } catch (const std::runtime_error& error) {
    judgement = broken(error.what());
  } catch (const std::exception& error) {  // no memory, for example
    judgement = {Verdict::not_judged, error.what(), Trouble::ours};
  }
  judgement.by_hand = by_hand;
  return judgement;
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
