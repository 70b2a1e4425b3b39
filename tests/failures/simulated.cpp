#include "simulated.hpp"

#include "tests/explore/search.hpp"
#include "tests/explore/server.hpp"
#include "tests/explore/story.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>

using namespace std::string_view_literals;

namespace failures {
namespace {

using explore::Client;
using explore::kernel;
using explore::ServerScenario;
using explore::start_time;
using explore::Thread;
using explore::Time;
using explore::world;

constexpr Time ms = 1'000'000;
// Too short for what is being served: then the server gives up, and its exit status must be 1.
constexpr std::chrono::milliseconds short_grace{100};
constexpr Time quick = 1'000 * ms;        // for a client that asks for "/"
constexpr Time last_moment = 1'000 * ms;  // for main, where nobody is being served any more

// `stop` ms after the start; 0: at every position. The signal is blocked and ignored at first, as
// some parents leave it, but for SIGHUP: an ignored one stays ignored, on purpose.
ServerScenario make(const char* name, int signal, bool with_silent, Time stop,
                    std::chrono::milliseconds grace_period = grace) {
  std::vector<Client> clients{
      {Client::plain},
      {Client::slow},
      {Client::rude, "/sleep"},
      {Client::half_closed, "/sleep"},
      {Client::plain, "/sleep", 100 * ms},
      {Client::plain, "/", 140 * ms},
  };
  if (with_silent) clients.push_back({Client::silent});
  const auto text = [](auto number) { return std::to_string(number); };
  return {name,
          "",
          {"--workers", text(workers), "--sleep-ms", text(sleep_time.count()), "--grace-ms",
           text(grace_period.count())},
          std::move(clients),
          {{signal, stop * ms}},
          {},
          {.inherits = signal == SIGHUP ? 0 : signal, .handshake = 20 * ms}};
}

std::span<const ServerScenario> scenarios(bool quick) {
  static const std::array all{make("busy", SIGINT, false, 150), make("busy", SIGINT, false, 0),
                              make("silent", SIGTERM, true, 150), make("silent", SIGTERM, true, 0),
                              make("late", SIGHUP, false, 150, short_grace)};
  return quick ? std::span(all).first(1) : all;
}

std::string name_of(const Thread& thread) {
  std::string name = thread.name;
  std::ranges::replace(name, ' ', '-');
  return name;
}

// Hears of each call of one run. With a point, makes that one fail.
class Calls {
 public:
  explicit Calls(const Point* point, std::set<Point>* all = nullptr, bool usual_only = false)
      : point_(point), all_(all), usual_only_(usual_only) {}

  int operator()(std::string_view call, int fd) {
    const Thread& self = *world.current;
    if (call == "pthread_join" && kernel.listens()) drains_before_close = true;
    // Whom this thread serves: the client of the connection that it has in hand.
    std::size_t& served = served_[self.id];
    if (const std::size_t client = kernel.client_at(fd)) served = client;
    if (failed_in_ == &self && victim == 0) victim = served;
    const int number = ++counts_[{&self, std::string(call)}];
    const bool fails = point_ != nullptr && call == point_->call && number >= point_->number &&
                       number < point_->number + point_->times && name_of(self) == point_->thread;
    if (fails) {
      met = true;
      // The main thread of a pool serves nobody: what fails there may not cost a client.
      if (self.kind == Thread::worker && may_cost_own(call) &&
          (!passes(*point_) || call == "malloc")) {
        failed_in_ = &self;
        victim = served;
      }
      // The first line is what it cannot do without; and the pages, before it listens.
      could_go_on = could_go_on || (serves_ && passes(*point_)) ||
                    (is_optional(call) && (call == "write" ? serves_ : kernel.has_listened()));
    }
    closed_unasked =
        closed_unasked || (serves_ && kernel.stopped_at == explore::never && !kernel.listens());
    if (all_ != nullptr) add_points(self, call, number);
    if (call == "close") served = 0;
    serves_ = serves_ || call == "accept4";
    return fails ? point_->error : 0;
  }

  bool met = false;
  bool could_go_on = false;
  bool drains_before_close = false;
  bool closed_unasked = false;
  std::size_t victim = 0;  // the client that was served, or was the next to be

 private:
  void add_points(const Thread& self, std::string_view call, int number) {
    const Call* const known = find_call(call);
    if (known == nullptr) return;
    for (const int error : known->errors) {
      if (usual_only_ && error != known->usual && error != ENOMEM) continue;
      Point point{"", name_of(self), std::string(call), number, error};
      all_->insert(point);
      point.times = lasting;
      // For each allocation of a worker a client may be lost: of those, one is enough.
      if (passes(point) && (call != "malloc" || self.kind != Thread::worker)) all_->insert(point);
    }
  }

  const Point* point_;
  std::set<Point>* all_;
  bool usual_only_;
  bool serves_ = false;
  const Thread* failed_in_ = nullptr;
  std::map<std::pair<const Thread*, std::string>, int> counts_;
  std::array<std::size_t, explore::max_threads> served_{};
};

void judge_clients(Verdict& verdict, const ServerScenario& scenario,
                   std::span<const explore::Seen> seen, const Calls& calls) {
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const Client::Kind kind = scenario.clients[i].kind;
    if (calls.could_go_on && seen[i].too_early)
      verdict.broken[goes_on] = "client " + std::to_string(i + 1) + " was refused before the stop";
    if (calls.could_go_on && kind == Client::plain && scenario.clients[i].target == "/"sv &&
        seen[i].whole && seen[i].ended_at - start_time > quick)
      verdict.broken[goes_on] = "client " + std::to_string(i + 1) + " waited for " +
                                std::to_string((seen[i].ended_at - start_time) / ms) + " ms";
    const bool fine = kind == Client::silent ? !seen[i].reset : seen[i].whole;
    if (fine || !seen[i].connected || kind == Client::rude) continue;
    const std::string how =
        "client " + std::to_string(i + 1) + (seen[i].reset ? " was reset" : " got no whole answer");
    if (calls.victim == i + 1) {
      verdict.lost_own = true;
      continue;
    }
    if (kernel.accepted[i + 1]) verdict.broken[answers] = how;
    if (world.exit_status == 0) verdict.broken[tells_truth] = "exit status 0, and " + how;
  }
}

bool is_about_signals(std::string_view call) {
  return call == "sigaction" || call == "pthread_sigmask";
}

// Is its error the reason that is printed? Not bad_alloc's; access() asks which pages to take.
bool is_named(std::string_view call) {
  return call != "malloc" && call != "write" && call != "access";
}

void judge_end(Verdict& verdict, const Point& point, const Calls& calls, bool gives_up) {
  const auto printed = [](const char* text) {
    return kernel.printed.find(text) != std::string::npos;
  };
  const int status = world.exit_status;
  if (kernel.ended_by != 0)
    verdict.broken[ends_by_itself] = std::string("ended by SIG") + ::sigabbrev_np(kernel.ended_by);
  else if (status > 1 || (status == 0 && (gives_up || kernel.stopped_at == explore::never)))
    verdict.broken[tells_truth] = "exit status " + std::to_string(status);
  else if (status == 0 && calls.closed_unasked)
    verdict.broken[tells_truth] = "exit status 0, and it stopped before it was told to";
  else if (status == 0 && calls.met && point.thread == "main" && is_about_signals(point.call))
    verdict.broken[tells_truth] = "it serves, and cannot hear every stop";
  else if (printed("Listening on ") && (!kernel.has_listened() || printed("127.0.0.1:0\n")))
    verdict.broken[tells_truth] = "it says that it listens where it does not";
  // Where it is the words that fail, there are none.
  else if (status == 1 && !printed("stage4: ") && !printed("Gave up: ") && point.call != "write")
    verdict.broken[tells_truth] = "exit status 1, and no word of why";
  else if (status == 1 && calls.met && !gives_up && is_named(point.call) &&
           !printed(::strerror(point.error)))
    verdict.broken[tells_truth] = "exit status 1, and another reason than this";
  else if (status == 0 && (!kernel.has_listened() ||
                           (!printed("Shutting down worker 1") && point.call != "write")))
    verdict.broken[tells_truth] = "exit status 0, and no shutdown";
  // A leak matters to a server that serves. (Giving up closes nothing: the kernel does it.)
  if (kernel.left_open > 0 && kernel.has_listened() && kernel.ended_by == 0 && !gives_up)
    verdict.broken[leaks_nothing] = std::to_string(kernel.left_open) + " still open at the end";
  const Time took = kernel.stopped_at == explore::never ? 0 : kernel.ended_at - kernel.stopped_at;
  if (took > (gives_up ? short_grace : grace).count() * ms + last_moment)
    verdict.broken[keeps_grace] = "it ended " + std::to_string(took / ms) + " ms after the stop";
}

void judge(Verdict& verdict, const ServerScenario& scenario, std::span<const explore::Seen> seen,
           const Calls& calls, const Point& point) {
  const explore::Failure& failure = world.failure;
  if (failure.kind == "not simulated" || failure.kind.starts_with("too "))
    verdict.not_tried = failure.sentence;
  else if (failure)
    verdict.broken[failure.kind == "terminate" ? never_panics : ends_by_itself] =
        failure.kind + ": " + failure.sentence;
  const bool gives_up = point.script == "late";
  // A server that the stop's own signal has ended was not ended by the failure.
  if (calls.could_go_on && !gives_up && kernel.ended_by == 0 && (failure || world.exit_status != 0))
    verdict.broken[goes_on] =
        failure ? failure.kind : "exit status " + std::to_string(world.exit_status);
  if (failure) return;
  if (!gives_up) judge_clients(verdict, scenario, seen, calls);
  if (calls.drains_before_close)
    verdict.broken[closes_first] = "a worker is joined while the listener is open";
  judge_end(verdict, point, calls, gives_up);
}

std::span<const explore::Seen> play(const explore::Module& module, ServerScenario scenario,
                                    explore::Decider& order, Calls& calls) {
  // Stages 1 to 3 leave signals as they find them: one that is ignored would never end them.
  // (usage_of() is a run of its own, in which nothing fails.)
  if (explore::usage_of(module).find("--grace-ms") == std::string::npos)
    scenario.conditions.inherits = 0;
  world.at_call = [&calls](const char* call, int fd) { return calls(call, fd); };
  const auto seen = explore::play_server(module, scenario, order);
  world.at_call = nullptr;
  return seen;
}

// Calls `after` for each run of each scenario of the point's script, until it returns true.
template <typename After>
void each_run(const explore::Module& module, const Point& point, bool quick, After after) {
  bool known = false;
  for (const ServerScenario& scenario : scenarios(quick)) {
    if (scenario.name != point.script) continue;
    known = true;
    explore::ServerSearch search(0);
    do {
      Calls calls(&point);
      const auto seen = play(module, scenario, search, calls);
      Verdict verdict;
      verdict.met = calls.met;
      judge(verdict, scenario, seen, calls, point);
      if (after(verdict, scenario, search.order())) return;
    } while (search.advance());
  }
  if (!known) throw Usage("there is no script " + point.script);
}

}  // namespace

std::vector<Point> simulated_points(const explore::Module& module, bool quick) {
  std::set<Point> all;
  each_run(module, {"busy", "", "", 0, 0}, true,
           [](const Verdict&, const ServerScenario&, const explore::Order&) { return false; });
  for (const ServerScenario& scenario : scenarios(quick)) {
    std::set<Point> found;
    explore::ServerSearch search(0);
    do {
      Calls calls(nullptr, &found, quick);
      play(module, scenario, search, calls);
      if (world.failure.kind == "never ends")
        throw std::runtime_error("the script '" + std::string(scenario.name) +
                                 "' never ends, although nothing fails");
    } while (search.advance());
    for (Point point : found) {
      point.script = scenario.name;
      all.insert(point);
    }
  }
  return {all.begin(), all.end()};
}

Verdict try_simulated(const explore::Module& module, const Point& point, bool quick) {
  Verdict all;
  each_run(module, point, quick,
           [&](const Verdict& one, const ServerScenario&, const explore::Order&) {
             ++all.runs;
             all.met = all.met || one.met;
             all.lost_own = all.lost_own || one.lost_own;
             if (all.not_tried.empty()) all.not_tried = one.not_tried;
             for (std::size_t i = 0; i < all.broken.size(); ++i) {
               if (all.broken[i].empty()) all.broken[i] = one.broken[i];
             }
             return false;
           });
  return all;
}

std::string tell_simulated(const explore::Module& module, const Point& point) {
  const ServerScenario* scenario = nullptr;
  explore::Order order;
  bool broken = false;
  each_run(module, point, false,
           [&](const Verdict& one, const ServerScenario& in, const explore::Order& by) {
             if (one.met && scenario == nullptr) {
               scenario = &in;
               order = by;
             }
             broken = one.is_broken();
             if (broken) {
               scenario = &in;
               order = by;
             }
             return broken;
           });
  if (scenario == nullptr) return "The server does not come to this call.\n";
  world.telling = true;
  explore::Replay again(order);
  Calls calls(&point);
  play(module, *scenario, again, calls);
  world.telling = false;
  return as_text(explore::tell(module));
}

}  // namespace failures
