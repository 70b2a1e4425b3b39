// explore: runs a pool of threads, or a whole server, in every order that its threads can have.
// What fails, is told.

#include "cases.hpp"
#include "faults.hpp"
#include "play.hpp"
#include "story.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include <sys/single_threaded.h>

namespace explore {
namespace {

constexpr std::string_view usage =
    "usage: explore [SCENARIO...] [WHAT]\n"
    "       explore --play SCENARIO [WHAT]\n"
    "       explore --replay SCENARIO@ORDER [WHAT]\n"
    "\n"
    "Runs it in every order of its threads. It prints what fails, step by step.\n"
    "  --play         you decide who goes on\n"
    "  --replay       one order again; under a debugger, it stops at each step\n"
    "  --svg FILE     draws the story of what failed\n"
    "\n"
    "WHAT is the pool of stage 4, or\n"
    "  --pool DIR     the one in DIR/thread_pool.hpp and .cpp\n"
    "  --module FILE  the scenarios in a library of yours: tests/explore/scenario.hpp\n"
    "  --server       stage 4, main() and all, in a simulated kernel; --stage N is stage N\n"
    "  --deep N       with N departures from the plain order, besides the signals (1)\n"
    "  --endless      for a pool that is never destroyed, as that of stage 3\n"
    "  --orders-only  ignores data races: is there another bug besides the race?\n"
    "A pool has ThreadPool(size), execute(job), and a destructor that finishes every job.\n"
    "Exit status: 0 if all is well, 1 if something failed, 2 if it could not run.\n";

struct Options {
  std::string module;
  std::string pool;  // a folder
  int stage = 0;     // a server, if not 0
  int departures = 1;
  std::vector<std::string> scenarios;
  std::string replay;
  std::string play;
  std::string svg;
  bool orders_only = false;
  bool help = false;
  std::string what;  // of the command line: the words that say what is explored
};

Options parse(int argc, char** argv) {
  Options options;
  const auto text = [&](Arguments& arguments, bool is_what) {
    const std::string flag = arguments.word();
    const std::string value = arguments.value();
    if (is_what) options.what += ' ' + flag + ' ' + value;
    return value;
  };
  for (Arguments arguments(argc, argv); arguments.next();) {
    const std::string word = arguments.word();
    if (word == "--help") {
      options.help = true;
    } else if (word == "--pool") {
      options.pool = text(arguments, true);
    } else if (word == "--module") {
      options.module = text(arguments, true);
    } else if (word == "--server") {
      options.stage = std::max(options.stage, 4);
      options.what += " --server";
    } else if (word == "--stage") {
      options.stage = parse_number(word, text(arguments, true), 1, 4);
    } else if (word == "--deep") {
      options.departures = parse_number(word, text(arguments, false), 0, 9);
    } else if (word == "--replay") {
      options.replay = text(arguments, false);
    } else if (word == "--play") {
      options.play = text(arguments, false);
    } else if (word == "--svg") {
      options.svg = text(arguments, false);
    } else if (word == "--endless") {
      world.endless = true;
      options.what += " --endless";
    } else if (word == "--orders-only") {
      options.orders_only = true;
    } else if (word.starts_with("-")) {
      throw Usage("there is no " + word);
    } else {
      options.scenarios.push_back(word);
    }
  }
  return options;
}

// By a debugger, which is worth threads that it can show.
bool is_debugged() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "TracerPid:") return status >> word && word != "0";
  }
  return false;
}

void stop_at_each_step() {
  Fiber::on_threads = true;
  world.at_each_step = [] {
    if (world.current->next.effect != Step::counts) std::raise(SIGTRAP);
  };
}

// Once more, and now with the places of all that happens.
void replay(const Case& one, const Order& order) {
  world.telling = true;
  for (int time = 0; time < 2; ++time) {
    Replay again(order);
    one.run(again);
    if (!world.failure && !again.is_done())
      world.failure = {"does not fit", "This order is not one of this program, which ends before."};
    // A race is known by its second access, so it takes another run to see the first.
    if (world.failure.kind != "data race" || Fiber::on_threads) break;
  }
  world.telling = false;
}

std::string interrupted(int switches) {
  if (switches < 0) return "";
  if (switches == 0) return ", without an interruption";
  return ", with " + std::to_string(switches) +
         (switches == 1 ? " interruption" : " interruptions");
}

std::string counted(long number) { return with_commas(static_cast<double>(number), 0); }

void tell_order(const Module& module, const Case& one, const Order& order, const Options& options) {
  replay(one, order);
  const Story story = tell(module);
  std::printf("\n%s\nTo see it again:\n  build/tests/explore%s%s --replay %s@%s\n\n",
              as_text(story).c_str(), options.what.c_str(),
              world.find_races ? "" : " --orders-only", one.name.c_str(), to_text(order).c_str());
  if (!options.svg.empty() && !(std::ofstream(options.svg) << as_svg(story)))
    throw std::runtime_error("cannot write " + options.svg);
}

void tell_fault(const Module& module, const Case& one, const Result& result,
                const Options& options) {
  std::printf("\n%s: %s\n  %s, in order %s%s\n", one.name.c_str(), one.title.c_str(),
              result.failure.kind.c_str(), counted(result.orders).c_str(),
              interrupted(result.switches).c_str());
  tell_order(module, one, result.order, options);
}

// 2 if it could not run.
int status_of(const Failure& failure) {
  if (!failure) return 0;
  return failure.kind == "does not fit" || failure.kind == "not simulated" ? 2 : 1;
}

// Is it as it should be? Usually that means: well.
bool as_expected(const Case& one, const Result& result) {
  if (one.fault == "in some libraries") return true;
  return one.fault == result.failure.kind && (one.orders == 0 || one.orders == result.orders);
}

void tell_surprise(const Module& module, const Case& one, const Result& result,
                   const Options& options) {
  if (!result.failure) {
    std::printf("\n%s should fail with '%s', or have %ld orders.\n", one.name.c_str(),
                one.fault.c_str(), one.orders);
    return;
  }
  tell_fault(module, one, result, options);
  if (result.failure.kind != "data race") return;
  // A race is a fault by itself. But what it leads to is the better story.
  world.find_races = false;
  if (const Result other = one.explore(); other.failure) {
    std::puts("And this is what it can lead to:");
    tell_fault(module, one, other, options);
  }
}

int explore_all(const Module& module, const std::vector<Case>& cases, const Options& options) {
  using std::chrono::steady_clock;
  const auto since = [](steady_clock::time_point begin) {
    return std::chrono::duration<double>(steady_clock::now() - begin).count();
  };
  const auto begin = steady_clock::now();
  long orders = 0;
  long runs = 0;
  int faults = 0;
  bool all = true;
  std::vector<std::pair<const Case*, Result>> surprises;
  std::printf("%-19s %-44s %8s %5s\n", "scenario", "", "orders", "s");
  for (const Case& one : cases) {
    const auto start = steady_clock::now();
    const Result result = one.explore();
    orders += result.orders;
    runs += result.runs;
    faults += result.failure ? 1 : 0;
    const std::string kind = (result.failure || !result.all ? "  " : "") + result.failure.kind +
                             (result.all ? "" : "not all");
    all = all && result.all;
    std::printf("%-19s %-44s %8s %5.2f%s\n", one.name.c_str(), one.title.c_str(),
                counted(result.orders).c_str(), since(start), kind.c_str());
    std::fflush(stdout);
    if (!as_expected(one, result))
      surprises.emplace_back(&one, result);
    else if (result.failure && !options.scenarios.empty())
      tell_fault(module, one, result, options);
  }
  if (!surprises.empty()) {
    tell_surprise(module, *surprises[0].first, surprises[0].second, options);
    return status_of(surprises[0].second.failure);
  }
  if (!all) {
    std::puts("\nWhere it says \"not all\", there are too many orders to run: nothing is proved.");
    return 2;
  }
  std::printf("\n%s orders; %s runs in %.1f s.", counted(orders).c_str(), counted(runs).c_str(),
              since(begin));
  if (faults > 0) {
    std::puts(faults == 1 ? " The failure is a known one." : " The failures are known ones.");
    return 0;
  }
  std::printf("\nNot one hang, %s, %s.\n",
              options.stage == 0 ? "job lost or run twice" : "lost client",
              options.orders_only ? "or crash" : "crash, data race or use of freed memory");
  return 0;
}

const Case& find(const std::vector<Case>& all, const std::string& name) {
  const auto found = std::ranges::find(all, name, &Case::name);
  if (found != all.end()) return *found;
  std::string known;
  for (const Case& one : all) known += (known.empty() ? "" : ", ") + one.name;
  throw Usage("there is no scenario '" + name + "' among " + known);
}

int explore_as_told(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.help) {
    std::fputs(usage.data(), stdout);
    return 0;
  }
  std::optional<OwnPool> own;
  if (!options.pool.empty()) own.emplace(options.pool);
  const std::string usual =
      "tests/" +
      (options.stage == 0 ? "pool_scenarios"
                          : "stage" + std::to_string(options.stage) + "_server") +
      ".so";
  const std::string file = own                       ? own->module()
                           : !options.module.empty() ? options.module
                                                     : BUILD "/" + usual;
  if (!std::filesystem::exists(file))
    throw std::runtime_error("there is no " + file + ". Build it: ninja -C build explored");
  if (!own && options.module.empty()) expect_up_to_date(usual);
  const Module module(file);
  watch_for_faults();
  world.find_races = !options.orders_only;
  const std::vector<Case> all =
      options.stage == 0 ? pool_cases(module) : server_cases(module, options.departures);
  if (!options.play.empty()) {
    const Case& one = find(all, options.play);
    play(module, one.title, one.run);
    return 0;
  }
  if (!options.replay.empty()) {
    const std::size_t at = std::min(options.replay.find('@'), options.replay.size());
    const Case& one = find(all, options.replay.substr(0, at));
    const Order order = parse_order(options.replay.substr(std::min(at + 1, options.replay.size())));
    if (is_debugged()) stop_at_each_step();
    tell_order(module, one, order, options);
    return status_of(world.failure);
  }
  std::vector<Case> chosen;
  for (const std::string& name : options.scenarios) chosen.push_back(find(all, name));
  return explore_all(module, chosen.empty() ? all : chosen, options);
}

}  // namespace
}  // namespace explore

int main(int argc, char** argv) {
  __libc_single_threaded = 0;  // or shared_ptr counts without atomics: no thread is ever started
  return run_tool("explore", explore::usage, [&] { return explore::explore_as_told(argc, argv); });
}
