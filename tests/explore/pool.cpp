#include "cases.hpp"
#include "faults.hpp"
#include "scenario.hpp"

#include <cstdlib>
#include <stdexcept>

namespace explore {

void name_next_thread(const char* name) { world.next_name = name; }
void pool_ends() { world.closing = true; }
void pool_stays() { world.stays = true; }
bool pool_is_endless() { return world.stays; }
void expect(bool holds, const char* fault, const char* sentence) {
  const Outside outside;
  if (!holds) world.fail(fault, sentence);
}

namespace {

// What is wrong at the end of a run that did not fail on its way.
void judge_end() {
  if (world.failure || world.cut) return;
  const auto threads = std::span(world.threads).first(world.count);
  if (threads[0].state == Thread::running) {
    world.failure = {"hang", "Nobody can go on."};
    return;
  }
  for (const Thread& thread : threads.subspan(1)) {
    if (thread.state != Thread::joined && !(world.stays && thread.kind == Thread::worker))
      world.failure = {"not joined",
                       "main() has returned, and " + thread.name + " has not been joined."};
  }
}

void run(const Scenario& scenario, Decider& decider) {
  world.luck = scenario.luck;
  begin_watch();
  world.run(decider, scenario.body);
  judge_end();
}

constexpr long too_many = 500'000;  // orders that are tried, half a minute's work

// The short stories first; then all of them.
Result explore_all(const Scenario& scenario) {
  long tried = 0;
  long orders = 0;
  for (int switches = 0; switches <= 3; ++switches) {
    const bool all = switches == 3;
    Search search = all ? Search::every_order() : Search::few_switches(switches);
    do {
      run(scenario, search);
      ++tried;
      if (world.failure)
        return {tried, world.failure, search.order(), all ? -1 : switches, true, tried};
      if (all && !world.cut) ++orders;
      if (tried == too_many) return {orders, {}, {}, -1, false, tried};
    } while (search.advance());
  }
  return {orders, {}, {}, -1, true, tried};
}

}  // namespace

std::vector<Case> pool_cases(const Module& module) {
  const Scenarios& all = *module.find<const Scenarios>("scenarios");
  std::vector<Case> cases;
  for (const Scenario& scenario : std::span(all.begin, all.size)) {
    cases.push_back(
        {scenario.name, scenario.title, [&scenario](Decider& decider) { run(scenario, decider); },
         [&scenario] { return explore_all(scenario); }, scenario.fault, scenario.orders});
  }
  return cases;
}

OwnPool::OwnPool(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / "thread_pool.hpp"))
    throw std::runtime_error("there is no thread_pool.hpp in " + folder.string());
  std::string name = std::filesystem::temp_directory_path() / "explore.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    throw std::runtime_error("cannot make a folder for the compiled pool");
  made_ = name;
  at_end_of_watch([folder = made_] { std::filesystem::remove_all(folder); });
  // A copy of the workbook has a common/ of its own.
  const std::string compile = COMPILE " -I'" + folder.string() + "' -I'" + folder.string() +
                              "/..' -I" SOURCE " -c -o '" + name;
  std::string command = compile + "/scenarios.o' " SOURCE "/tests/explore/pool_scenarios.cpp && ";
  if (const auto source = folder / "thread_pool.cpp"; std::filesystem::exists(source))
    command += compile + "/pool.o' '" + source.string() + "' && ";
  command += LINK " -o '" + module() + "' '" + name + "'/*.o";
  if (std::system(command.c_str()) == 0) return;
  std::filesystem::remove_all(made_);
  throw std::runtime_error("the pool in " + folder.string() + " does not compile");
}

}  // namespace explore
