// explore: runs a pool of threads in every order that its threads can have. What fails, is told.

#include "faults.hpp"
#include "memory.hpp"
#include "module.hpp"
#include "play.hpp"
#include "scenario.hpp"
#include "search.hpp"
#include "story.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include <sys/single_threaded.h>

namespace explore {

void name_next_thread(const char* name) { world.next_name = name; }
void pool_ends() { world.closing = true; }
void expect(bool holds, const char* fault, const char* sentence) {
  const Outside outside;
  if (!holds) world.fail(fault, sentence);
}

namespace {

constexpr std::string_view usage =
    "usage: explore [SCENARIO...] [--pool DIR] [--orders-only] [--svg FILE]\n"
    "       explore --replay SCENARIO@ORDER [--pool DIR] [--orders-only]\n"
    "       explore --play SCENARIO [--pool DIR]\n"
    "\n"
    "Runs the pool of stage 4, or the one in DIR/thread_pool.hpp and .cpp, in every order\n"
    "of its threads. What fails is told step by step.\n"
    "  --orders-only  does not look for data races: is there a fault beside the race?\n"
    "  --svg FILE     draws the story of what failed\n"
    "  --replay       runs one order again; under a debugger, stops at each step\n"
    "  --play         you decide who goes on\n"
    "Exit status: 0 if all is well, 1 if something failed, 2 if it could not be tried.\n";

struct Options {
  std::string module = BUILD "/tests/pool_scenarios.so";
  std::string pool;  // a folder
  std::vector<std::string> scenarios;
  std::optional<std::string> replay;
  std::optional<std::string> play;
  std::string svg;
  bool orders_only = false;
  bool help = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (Arguments arguments(argc, argv); arguments.next();) {
    const std::string& word = arguments.word();
    if (word == "--help")
      options.help = true;
    else if (word == "--pool")
      options.pool = arguments.value();
    else if (word == "--module")
      options.module = arguments.value();
    else if (word == "--replay")
      options.replay = arguments.value();
    else if (word == "--play")
      options.play = arguments.value();
    else if (word == "--svg")
      options.svg = arguments.value();
    else if (word == "--orders-only")
      options.orders_only = true;
    else if (word.starts_with("-"))
      throw Usage("there is no " + word);
    else
      options.scenarios.push_back(word);
  }
  return options;
}

// Compiled into a folder of its own, which goes with it.
class OwnPool {
 public:
  explicit OwnPool(const std::filesystem::path& folder) {
    if (!std::filesystem::exists(folder / "thread_pool.hpp"))
      throw std::runtime_error("there is no thread_pool.hpp in " + folder.string());
    std::string name = std::filesystem::temp_directory_path() / "explore.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("cannot make a folder for the compiled pool");
    made_ = name;
    const std::string compile = COMPILE " -I'" + folder.string() + "' -I'" + folder.string() +
                                "/..' -I" SOURCE " -c -o '" + name;
    std::string command = compile + "/scenarios.o' " SOURCE "/tests/explore/pool_scenarios.cpp && ";
    if (const auto source = folder / "thread_pool.cpp"; std::filesystem::exists(source))
      command += compile + "/pool.o' '" + source.string() + "' && ";
    command += LINK " -o '" + module() + "' '" + name + "'/*.o";
    if (std::system(command.c_str()) != 0) {
      std::filesystem::remove_all(made_);
      throw std::runtime_error("the pool in " + folder.string() + " does not compile");
    }
  }
  ~OwnPool() { std::filesystem::remove_all(made_); }
  OwnPool(const OwnPool&) = delete;

  std::string module() const { return made_ / "pool.so"; }

 private:
  std::filesystem::path made_;
};

// What is wrong at the end of a run that did not fail on its way.
void judge_end() {
  if (world.failure || world.cut) return;
  const auto threads = std::span(world.threads).first(world.count);
  if (threads[0].state == Thread::running) {
    world.failure = {"hang", "Nobody can go on."};
    return;
  }
  for (const Thread& thread : threads.subspan(1)) {
    if (thread.state != Thread::joined)
      world.failure = {"not joined",
                       "main has ended, and " + thread.name + " has not been joined."};
  }
}

void run(const Scenario& scenario, Decider& decider) {
  world.luck = scenario.luck;
  begin_watch();
  world.run(decider, scenario.body);
  judge_end();
}

struct Result {
  long orders = 0;  // that differ, and were run to the end; or tried, up to the failure
  Failure failure;
  Order order;  // that failed
  int switches = -1;
};

// The short stories first; then all of them.
Result explore(const Scenario& scenario) {
  Result result;
  long tried = 0;
  for (int switches = 0; switches <= 3; ++switches) {
    const bool all = switches == 3;
    Search search = all ? Search::every_order() : Search::few_switches(switches);
    result.orders = 0;
    do {
      run(scenario, search);
      result.orders += world.cut ? 0 : 1;
      ++tried;
      if (world.failure) return {tried, world.failure, search.order(), all ? -1 : switches};
    } while (search.advance());
  }
  return result;
}

// Once more, and now with the places of all that happens.
void replay(const Scenario& scenario, const Order& order) {
  world.telling = true;
  for (int time = 0; time < 2; ++time) {
    Replay again(order);
    run(scenario, again);
    // A race is known by its second access, so it takes another run to see the first.
    if (world.failure.kind != "data race" || Fiber::on_threads) break;
  }
  world.telling = false;
}

std::string switches(int count) {
  if (count < 0) return "";
  if (count == 0) return "; nobody is interrupted in it";
  return "; " + std::to_string(count) + (count == 1 ? " thread is" : " threads are") +
         " interrupted in it";
}

void tell_fault(const Module& module, const Scenario& scenario, const Result& result,
                const Options& options, bool orders_only) {
  world.find_races = !orders_only;
  replay(scenario, result.order);
  const Story story = tell(module);
  std::printf("\n%s: %s\n", scenario.name, scenario.title);
  if (result.failure)
    std::printf("  %s, in order %ld that was tried%s\n", result.failure.kind.c_str(), result.orders,
                switches(result.switches).c_str());
  std::printf("\n%s\nTo see it again:\n  build/tests/explore%s%s%s --replay %s@%s\n\n",
              as_text(story).c_str(), options.pool.empty() ? "" : " --pool ", options.pool.c_str(),
              orders_only ? " --orders-only" : "", scenario.name, to_text(result.order).c_str());
  if (!options.svg.empty() && !(std::ofstream(options.svg) << as_svg(story)))
    throw std::runtime_error("cannot write " + options.svg);
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

std::vector<const Scenario*> choose(const Scenarios& all, const std::vector<std::string>& names) {
  std::vector<const Scenario*> chosen;
  for (const Scenario& scenario : std::span(all.begin, all.size)) {
    if (names.empty() || std::ranges::count(names, scenario.name) > 0) chosen.push_back(&scenario);
  }
  for (const std::string& name : names) {
    if (std::ranges::count(chosen, name, &Scenario::name) > 0) continue;
    std::string known;
    for (const Scenario& scenario : std::span(all.begin, all.size))
      known += std::string(known.empty() ? "" : ", ") + scenario.name;
    throw Usage("there is no scenario '" + name + "' among " + known);
  }
  return chosen;
}

// Is it as the scenario says? Usually that means: well.
bool as_expected(const Module& module, const Scenario& scenario, Result result,
                 const Options& options) {
  if (std::string_view(scenario.fault) == "in some libraries") return true;
  if (scenario.fault == result.failure.kind)
    return scenario.orders == 0 || scenario.orders == result.orders;
  if (!result.failure) {
    std::printf("%s: should fail with '%s', and does not\n", scenario.name, scenario.fault);
    return false;
  }
  // A race is a fault by itself. But what it leads to is the better story.
  const bool race = result.failure.kind == "data race";
  tell_fault(module, scenario, result, options, !world.find_races);
  if (!race) return false;
  world.find_races = false;
  result = explore(scenario);
  if (result.failure) {
    std::printf("And this is what it can lead to:\n\n");
    tell_fault(module, scenario, result, options, true);
  }
  world.find_races = true;
  return false;
}

int explore_all(const Module& module, const std::vector<const Scenario*>& scenarios,
                const Options& options) {
  using std::chrono::steady_clock;
  const auto since = [](steady_clock::time_point begin) {
    return std::chrono::duration<double>(steady_clock::now() - begin).count();
  };
  const auto begin = steady_clock::now();
  long orders = 0;
  int failed = 0;
  std::printf("%-10s %-54s %7s %6s\n", "scenario", "", "orders", "s");
  for (const Scenario* scenario : scenarios) {
    const auto start = steady_clock::now();
    world.find_races = !options.orders_only;
    const Result result = explore(*scenario);
    orders += result.orders;
    std::printf("%-10s %-54s %7s %6.2f\n", scenario->name, scenario->title,
                with_commas(static_cast<double>(result.orders), 0).c_str(), since(start));
    std::fflush(stdout);
    if (as_expected(module, *scenario, result, options)) continue;
    ++failed;
    if (scenario->orders != 0)
      std::printf("%s: should have %ld orders\n", scenario->name, scenario->orders);
    if (*scenario->fault == '\0') break;
  }
  if (failed > 0) return 1;
  std::printf(
      "\n%s orders in %.1f s. In none is there a hang, a job lost or run twice, a crash%s.\n",
      with_commas(static_cast<double>(orders), 0).c_str(), since(begin),
      options.orders_only ? "" : ",\na data race, or use of freed memory");
  return 0;
}

int explore_as_told(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.help) {
    std::fputs(usage.data(), stdout);
    return 0;
  }
  std::optional<OwnPool> own;
  if (!options.pool.empty()) own.emplace(options.pool);
  const Module module(own ? own->module() : options.module);
  watch_for_faults();
  const Scenarios& all = *module.find<const Scenarios>("scenarios");
  if (options.play) {
    const Scenario& scenario = *choose(all, {*options.play}).front();
    play(module, scenario.title, [&](Decider& decider) { run(scenario, decider); });
    return 0;
  }
  if (options.replay) {
    const std::size_t at = options.replay->find('@');
    const Scenario& scenario = *choose(all, {options.replay->substr(0, at)}).front();
    if (is_debugged()) stop_at_each_step();
    const Order order = parse_order(
        at == std::string::npos ? "" : std::string_view(*options.replay).substr(at + 1));
    tell_fault(module, scenario, {0, {}, order, -1}, options, options.orders_only);
    return world.failure ? 1 : 0;
  }
  return explore_all(module, choose(all, options.scenarios), options);
}

}  // namespace
}  // namespace explore

int main(int argc, char** argv) {
  __libc_single_threaded = 0;  // or shared_ptr counts without atomics: no thread is ever started
  return run_tool("explore", explore::usage, [&] { return explore::explore_as_told(argc, argv); });
}
