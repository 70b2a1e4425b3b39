#include "server.hpp"

#include "faults.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace explore {
namespace {

using namespace std::string_literals;

constexpr Time ms = 1'000'000;
constexpr Time s = 1'000 * ms;
constexpr std::uint16_t port = 7878;

const std::vector<std::string> one_worker{"--workers", "1"};
const std::vector<std::string> two_workers{"--workers", "2"};
const std::vector<std::string> take_one{"--workers", "1", "--take", "1"};
const std::vector<std::string> short_grace{"--workers", "1", "--grace-ms", "1000"};
const std::vector<Signal> ctrl_c{{SIGINT}};
const std::vector<Signal> killed{{SIGKILL, 60 * s}};
constexpr Client plain{};
constexpr Client sleeper{Client::plain, "/sleep"};
constexpr Client silent{Client::silent};

std::vector<ServerScenario> all_scenarios() {
  std::vector<ServerScenario> all{
      {"one", "1 worker, 1 client", one_worker, {plain}, ctrl_c},
      {"term", "the same, and SIGTERM", one_worker, {plain}, {{SIGTERM}}},
      {"idle", "2 workers, no client", two_workers, {}, ctrl_c, {.limit = 100 * ms}},
      {"two", "1 worker, 2 clients", one_worker, {plain, plain}, ctrl_c},
      {"workers", "2 workers, 1 client", two_workers, {plain}, ctrl_c},
      {"sleep", "2 clients on /sleep", one_worker, {sleeper, sleeper}, ctrl_c, {.limit = 12 * s}},
      {"fast",
       "a fast client beside a slow one",
       two_workers,
       {sleeper, plain},
       ctrl_c,
       {.quick = s}},
      {"half", "a client that has ended its side", one_worker, {{Client::half_closed}}, ctrl_c},
      {"slow", "a request in pieces", one_worker, {{Client::slow}}, {{SIGINT, 150 * ms}}},
      {"more", "a body, after its request", one_worker, {{Client::talkative}}, ctrl_c},
      {"silent", "a silent client", one_worker, {silent}, ctrl_c, {.limit = 1'500 * ms}},
      {"rude",
       "one resets, another does not",
       one_worker,
       {{Client::rude, "/sleep"}, plain},
       ctrl_c},
      {"small", "answers and log leave in pieces", one_worker, {plain}, ctrl_c, {}, {.window = 30}},
      {"late",
       "a handshake that takes 0.3 s",
       one_worker,
       {plain},
       ctrl_c,
       {},
       {.handshake = 300 * ms}},
      {"never",
       "a handshake that never ends",
       one_worker,
       {plain},
       ctrl_c,
       {.loses = true, .limit = 1'100 * ms},
       {.handshake = 20 * s}},
      {"next",
       "a client that comes at the last look",
       one_worker,
       {{Client::plain, "/", 2 * ms}},
       ctrl_c},
      {"after",
       "a client that comes after the stop",
       one_worker,
       {sleeper, {Client::refused, "/", s}},
       ctrl_c},
      {"trickle",
       "a request, byte by byte",
       one_worker,
       {{Client::trickling}},
       ctrl_c,
       {.limit = 1'500 * ms}},
      {"take", "--take 1, 1 client", take_one, {plain}, {}, {.take = 1}},
      {"take-two", "--take 1, 2 clients", take_one, {plain, plain}, {}, {.take = 1}},
      {"take-stop", "--take 1, and Ctrl-C", take_one, {plain}, ctrl_c},
      {"take-silent", "--take 1, silent", take_one, {silent}, {}, {.limit = 1'500 * ms}},
      {"take-after",
       "--take 1, another 1 s later",
       take_one,
       {sleeper, {Client::refused, "/", s}},
       {}},
      {"twice", "Ctrl-C, delivered twice", one_worker, {plain}, {{SIGINT}, {SIGINT}}},
      {"slowly", "the same, 0.2 s apart", one_worker, {sleeper}, {{SIGINT, s}, {SIGINT, 200 * ms}}},
      {"again",
       "a second Ctrl-C",
       one_worker,
       {sleeper},
       {{SIGINT, s}, {SIGINT, 400 * ms}},
       {.status = 130, .loses = true}},
      {"terms", "a second SIGTERM", one_worker, {sleeper}, {{SIGTERM, s}, {SIGTERM, 400 * ms}}},
      {"grace",
       "the grace period runs out",
       short_grace,
       {sleeper, sleeper},
       {{SIGINT, s}},
       {.status = 1,
        .loses = true,
        .limit = 2'500 * ms,
        .prints = "Gave up: 1 running, 1 waiting."}},
      {"grace-one",
       "the same, and nobody waits",
       short_grace,
       {sleeper},
       {{SIGINT, s}},
       {.status = 1,
        .loses = true,
        .limit = 2'500 * ms,
        .prints = "Gave up: 1 running, 0 waiting."}},
      {"short", "--grace-ms 1000, a silent client", short_grace, {silent}, ctrl_c, {.limit = s}},
      {"shortest",
       "--grace-ms 1, no client",
       {"--workers", "1", "--grace-ms", "1"},
       {},
       ctrl_c,
       {.limit = 100 * ms}},
      {"full",
       "no descriptor is left",
       one_worker,
       {silent, silent, plain},
       ctrl_c,
       {.limit = 20 * s},
       {.spare = 2}},
      {"log", "nobody reads the log", one_worker, {plain}, ctrl_c, {}, {.log_is_read = false}},
      {"lives",
       "one resets, and nobody stops it",
       one_worker,
       {{Client::rude, "/sleep"}, plain},
       killed,
       {.status = 128 + SIGKILL, .limit = 61 * s}},
      {"lives-full",
       "no descriptor, nobody stops it",
       one_worker,
       {silent, silent, plain},
       killed,
       {.status = 128 + SIGKILL, .limit = 61 * s},
       {.spare = 2}},
      {"port",
       "the port is in use",
       one_worker,
       {},
       {},
       {.status = 1, .limit = s, .prints = "Address already in use"},
       {.bind_error = EADDRINUSE}},
      {"nohup",
       "Ctrl-C was blocked and ignored",
       one_worker,
       {plain},
       ctrl_c,
       {},
       {.inherits = SIGINT}},
      {"hangup",
       "SIGHUP, which nohup has ignored",
       one_worker,
       {plain},
       {{SIGHUP}, {SIGKILL, 60 * s}},
       {.status = 128 + SIGKILL, .limit = 61 * s},
       {.inherits = SIGHUP}},
  };
  static std::vector<std::string> names;
  names.reserve(16);
  for (const int error :
       {ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO, ENETDOWN, EPERM}) {
    names.push_back("accept-"s + ::strerrorname_np(error));
    all.push_back({names.back().c_str(),
                   "accept4() fails so, once",
                   one_worker,
                   {plain},
                   ctrl_c,
                   {},
                   {.accept_error = error}});
  }
  return all;
}

std::array<Seen, most_clients> seen;
int signals_sent = 0;

// --- the clients: ordinary code, of other processes ----------------------------------------------

void pause(Time time) {
  const Outside outside;
  world.step(
      {"pause"}, [until = world.now + time] { return world.now >= until; }, world.now + time);
}

void receive(int fd, Seen& saw) {
  std::string got;
  std::array<char, 4096> part;
  ssize_t count = 0;
  while ((count = ::recv(fd, part.data(), part.size(), 0)) > 0)
    got.append(part.data(), static_cast<std::size_t>(count));
  saw.reset = saw.reset || count == -1;
  saw.ended_at = world.now;
  saw.whole = got.starts_with("HTTP/1.1 200 OK") && got.find("</html>") != got.npos;
}

void be(const Client& client, Seen& saw) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (client.after > 0) pause(client.after);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1) {
    saw.refused = true;
    saw.too_early = signals_sent == 0;
    return;
  }
  saw.connected = true;
  const bool body = client.kind == Client::talkative;
  const std::string request = "GET "s + client.target + " HTTP/1.1\r\nHost: a\r\n" +
                              (body ? "Content-Length: 4\r\n\r\n" : "\r\n");
  const std::size_t part = client.kind == Client::slow        ? request.size() / 3 + 1
                           : client.kind == Client::trickling ? 1
                                                              : request.size();
  for (std::size_t at = 0; client.kind != Client::silent && at < request.size(); at += part) {
    if (at > 0) pause(client.kind == Client::slow ? 100 * ms : 300 * ms);
    const std::string piece = request.substr(at, part);
    if (::send(fd, piece.data(), piece.size(), MSG_NOSIGNAL) == -1) saw.reset = true;
  }
  if (body && ::send(fd, "more", 4, MSG_NOSIGNAL) == -1) saw.reset = true;
  if (client.kind == Client::half_closed || client.kind == Client::rude) ::shutdown(fd, SHUT_WR);
  if (client.kind == Client::rude) {
    const linger none{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  } else {
    receive(fd, saw);
  }
  ::close(fd);
}

// --- the signals ---------------------------------------------------------------------------------

void send_signals(const std::vector<Signal>& signals) {
  const Outside outside;
  for (const Signal& signal : signals) {
    const char* const name = signal.number == SIGINT    ? "SIGINT"
                             : signal.number == SIGTERM ? "SIGTERM"
                             : signal.number == SIGHUP  ? "SIGHUP"
                                                        : "SIGKILL";
    const Time due = world.now + signal.after;
    const auto ready = [&] {
      return world.now >= due &&
             (kernel.handles(signal.number) || kernel.has_listened() || kernel.process_has_ended);
    };
    world.step({name, &signals_sent}, ready, due > world.now ? due : never);
    ++signals_sent;
    kernel.send(signal.number);
  }
}

// --- a run ---------------------------------------------------------------------------------------

int call_main(const Module& module, std::vector<std::string>& words) {
  static std::vector<char*> arguments;
  arguments.clear();
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  auto* const main = reinterpret_cast<int (*)(int, char**)>(module.find<void>("main"));
  world.in_program = true;
  const int status = main(static_cast<int>(words.size()), arguments.data());
  world.in_program = false;
  return status;
}

void prepare_run() {
  kernel.on = true;
  kernel.reset();
  seen = {};
  signals_sent = 0;
  world.any_time = false;
  world.luck = {};
  begin_watch();
}

void run_main(const ServerScenario& scenario, const Module& module) {
  const Outside outside;
  world.now = start_time;
  world.closing = true;  // when workers leave is theirs to know
  for (std::size_t i = 0; i < scenario.clients.size(); ++i) {
    world.start(
        "client " + std::to_string(i + 1), [&scenario, i] { be(scenario.clients[i], seen[i]); },
        Thread::outside);
  }
  if (!scenario.signals.empty())
    world.start("signal", [&scenario] { send_signals(scenario.signals); }, Thread::outside);
  static std::vector<std::string> words;
  words = {"server", "--port", std::to_string(port)};
  for (std::size_t i = 0; i + 1 < scenario.options.size(); i += 2) {
    if (usage_of(module).find(scenario.options[i]) == std::string::npos) continue;
    words.insert(words.end(), {scenario.options[i], scenario.options[i + 1]});
  }
  if (const int inherited = scenario.conditions.inherits; inherited != 0) {
    world.current->blocked |= std::uint64_t{1} << inherited;
    kernel.ignore(inherited);
  }
  kernel.end_process(call_main(module, words));
}

Failure judge_clients(const ServerScenario& scenario) {
  int answered = 0;
  for (std::size_t i = 0; i < scenario.clients.size(); ++i) {
    const Seen& saw = seen[i];
    const std::string name = "Client " + std::to_string(i + 1);
    const Client& client = scenario.clients[i];
    const Client::Kind kind = client.kind;
    answered += saw.whole ? 1 : 0;
    if (saw.too_early && scenario.expected.take == 0 && kind != Client::refused)
      return {"refused", name + " was refused, and nothing had been stopped."};
    if (client.kind == Client::refused && saw.connected)
      return {"not refused", name + " came after the stop, and was connected."};
    if (!saw.connected || scenario.expected.loses || scenario.expected.take > 0 ||
        kind == Client::rude || kind == Client::trickling)
      continue;
    if (saw.ended_at - start_time > scenario.expected.quick && client.target == "/"s)
      return {"too slow", name + " was answered after " +
                              std::to_string((saw.ended_at - start_time) / ms) +
                              " ms of virtual time."};
    if (kind == Client::silent && saw.reset)
      return {"reset", name + " was silent, and was reset instead of closed."};
    if (kind != Client::silent && !saw.whole)
      return {"request lost",
              name + " was connected, and " + (saw.reset ? "was reset." : "got no whole answer.")};
  }
  if (scenario.expected.take > 0 && answered != scenario.expected.take)
    return {"request lost", std::to_string(answered) + " clients were answered, of " +
                                std::to_string(scenario.expected.take) + " to be taken."};
  return {};
}

Failure judge(const ServerScenario& scenario) {
  if (!kernel.process_has_ended) return {"hang", "Nobody can go on, and the server has not ended."};
  if (Failure failure = judge_clients(scenario)) return failure;
  if (kernel.ended_by != 0 && world.exit_status != scenario.expected.status)
    return {"ended by a signal",
            "The server was ended by SIG"s + ::sigabbrev_np(kernel.ended_by) + "."};
  if (world.exit_status != scenario.expected.status) {
    return {"exit status",
            "The server ended with status " + std::to_string(world.exit_status) + " instead of " +
                std::to_string(scenario.expected.status) + ": " +
                kernel.printed.substr(kernel.printed.rfind('\n', kernel.printed.size() - 2) + 1)};
  }
  if (std::ranges::any_of(kernel.printed, [](unsigned char c) { return c < ' ' && c != '\n'; }))
    return {"no text", "What the server has printed is no text."};
  if (kernel.printed.find(scenario.expected.prints) == std::string::npos)
    return {"not said", "The server has not said: "s + scenario.expected.prints};
  for (std::size_t i = 0; i < world.count && kernel.ended_by == 0 && !scenario.expected.loses;
       ++i) {
    if (kernel.left_running[i])
      return {"not joined", world.threads[i].name + " has not been joined when main ends."};
  }
  if (kernel.ended_at - start_time > scenario.expected.limit)
    return {"too slow", "It took " + std::to_string((kernel.ended_at - start_time) / ms) +
                            " ms of virtual time."};
  return {};
}

}  // namespace

std::span<const ServerScenario> server_scenarios() {
  static const std::vector<ServerScenario> all = all_scenarios();
  return all;
}

const std::string& usage_of(const Module& module) {
  static std::string usage;
  static std::string path;
  if (path == module.path()) return usage;
  path = module.path();
  kernel.conditions = {};
  prepare_run();
  ServerSearch plain_order(0);
  world.run(plain_order, [&] {
    const Outside outside;
    static std::vector<std::string> words;
    words = {"server", "--help"};
    kernel.end_process(call_main(module, words));
  });
  return usage = kernel.printed;
}

std::span<const Seen> play_server(const Module& module, const ServerScenario& scenario,
                                  Decider& decider) {
  const bool watched = usage_of(module).find("--grace-ms") != std::string::npos;
  kernel.conditions = scenario.conditions;
  prepare_run();
  const std::size_t outside = scenario.clients.size() + (scenario.signals.empty() ? 0 : 1);
  world.name_of = [outside, watched](std::size_t id) {
    const std::size_t number = id - outside - 1;
    return watched && number == 0 ? "watch"s
                                  : "worker " + std::to_string(number - (watched ? 1 : 0));
  };
  world.run(decider, [&] { run_main(scenario, module); });
  kernel.on = false;
  return std::span(seen).first(scenario.clients.size());
}

void run_server(const Module& module, const ServerScenario& scenario, Decider& decider) {
  play_server(module, scenario, decider);
  if (!world.failure && !world.cut) world.failure = judge(scenario);
}

// --- the search ----------------------------------------------------------------------------------

bool ServerSearch::advance() {
  calls_ = departed_ = 0;
  last_ = early_ = nullptr;
  order_.clear();
  if (touched_.size() == known_) return path_.advance();
  known_ = touched_.size();
  path_.begin_again();
  return true;
}

const Path::Decision& ServerSearch::decide(const Path::Decision& if_new) {
  const Path::Decision& decision = path_.decide(if_new);
  if (decision.at > 0 && (decision.marked >> decision.options[decision.at] & 1) == 0) ++departed_;
  return decision;
}

// Would `usual` notice, if this came from outside just before its next step?
bool ServerSearch::matters(const Thread& from_outside, const Thread& usual) const {
  if (is_outside(usual) || usual.signal != 0) return true;
  // A pause touches nothing, and hides what comes after it.
  if (from_outside.next.a == nullptr || depend(from_outside.next, usual.next)) return true;
  if (from_outside.next.a != &signals_sent) return false;
  // What a handler does, depends on other steps than the sending of the signal. It also interrupts.
  const std::string_view what = usual.next.what;
  return what == "poll" || what == "sleep" || touched_.contains(usual.next.a) ||
         touched_.contains(usual.next.b) || touched_.contains(nullptr);
}

Thread* ServerSearch::next(std::span<Thread* const> options, bool) {
  const int call = calls_++;
  // A signal comes last.
  const auto rank = [&](const Thread* t) {
    const bool first = t == last_ || (!is_outside(*t) && t == options[0]);
    return is_outside(*t) ? 2 + static_cast<int>(t->id) : (t == last_ ? 0 : 1) + (first ? 0 : 1);
  };
  Thread* const usual = *std::ranges::min_element(options, {}, rank);
  Path::Decision decision{{static_cast<std::uint8_t>(usual->id)}, 1, 0, 0};
  for (const Thread* thread : options) {
    const bool is_signal = is_outside(*thread) && thread->next.a == &signals_sent;
    const bool goes_on = thread == early_;  // who came early may do more at once
    if (thread == usual || (!is_signal && !goes_on && departed_ == departures_)) continue;
    if (is_outside(*thread) && !goes_on && !matters(*thread, *usual)) continue;
    if (is_signal || goes_on) decision.marked |= 1U << thread->id;
    decision.options[decision.size++] = static_cast<std::uint8_t>(thread->id);
  }
  Thread* chosen = usual;
  if (decision.size > 1) {
    const Path::Decision& decided = decide(decision);
    chosen = &world.threads[decided.options[decided.at]];
  }
  if (chosen != options[0]) order_[call] = static_cast<int>(chosen->id);
  if (!is_outside(*chosen)) last_ = chosen;
  early_ =
      chosen != usual && is_outside(*chosen) && chosen->next.a != &signals_sent ? chosen : nullptr;
  return chosen;
}

int ServerSearch::which(int count) {
  const int call = calls_++;
  if (departed_ == departures_) return 0;
  const Path::Decision& decision = decide({{}, static_cast<std::uint8_t>(count), 0, 0});
  if (decision.at > 0) order_[call] = decision.at;
  return decision.at;
}

void ServerSearch::passed(const Thread& thread, const Step& step) {
  if (is_outside(thread) || !kernel.in_handler(thread)) return;
  // The end of the process concerns everybody.
  const bool end = kernel.process_has_ended;
  if (end) touched_.insert(nullptr);
  for (const void* object : {step.a, step.b}) {
    if (object != nullptr && !end) touched_.insert(object);
  }
}

ServerResult explore_server(const Module& module, const ServerScenario& scenario, int departures) {
  ServerResult result;
  for (int allowed = 0; allowed <= departures; ++allowed) {
    ServerSearch search(allowed);
    do {
      run_server(module, scenario, search);
      ++result.runs;
      result.steps += world.steps;
      for (std::size_t i = 0; i < scenario.clients.size(); ++i) {
        result.answered += seen[i].whole ? 1 : 0;
        result.refused += seen[i].refused ? 1 : 0;
        result.lost += seen[i].connected && !seen[i].whole ? 1 : 0;
      }
      if (!world.failure) continue;
      result.failure = world.failure;
      result.order = search.order();
      result.departures = allowed;
      return result;
    } while (search.advance());
  }
  return result;
}

}  // namespace explore
