// soak: stops a server under load, thousands of times, and counts the connections that were lost.

#include "load.hpp"
#include "promises.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <list>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr std::string_view usage_text =
    R"(Usage: soak [options]                       stop stage 4
       soak [options] -- SERVER [ARGUMENT...]  stop that server

Starts the server, keeps clients busy with it, one of them with its /sleep, sends
SIGTERM after 250 to 450 answers, and counts: again and again. In the command of
a server, {port}, {sleep} and {workers} are filled in.

  --stops N      how many stops, with those of --state (60)
  --minutes N    no longer than that, this time (no limit)
  --state FILE   go on where FILE says that an earlier run has ended, and keep
                 in it how far this one is; made if it is not there
  --clients N    how many at once, 1 to 1000 (16)
  --busy N       beside it, keep N processes busy that do nothing (0)
  --seed N       for other moments to stop at (1)
  --stage N      stop that stage instead, 1 to 4
  --help         print this and exit

Exit status: 0 if, up to here, every connection that was made was answered, all
others were refused, and the server always ended with 0; 1 if not; 2 for a mistake
in the command line, a state that does not fit, or a server that does not start.
)";

struct Settings {
  int stops = 60;
  std::optional<std::chrono::minutes> limit;
  std::string state;  // empty: none
  std::size_t clients = 16;
  int busy = 0;
  unsigned seed = 1;
  Subject server = stage_subject(4);
  bool help = false;
};

Settings parse(Arguments arguments) {
  Settings settings;
  while (arguments.next()) {
    const std::string flag = arguments.word();
    if (flag == "--stops")
      settings.stops = arguments.number(1, 1'000'000);
    else if (flag == "--minutes")
      settings.limit = std::chrono::minutes(arguments.number(1, 10'000));
    else if (flag == "--state")
      settings.state = arguments.value();
    else if (flag == "--clients")
      settings.clients = static_cast<std::size_t>(arguments.number(1, 1000));
    else if (flag == "--busy")
      settings.busy = arguments.number(0, 1000);
    else if (flag == "--seed")
      settings.seed = static_cast<unsigned>(arguments.number(0, 1'000'000));
    else if (flag == "--stage")
      settings.server = stage_subject(arguments.number(1, 4));
    else if (flag == "--help")
      settings.help = true;
    else if (flag == "--")
      settings.server = {.command = arguments.server()};
    else
      throw Usage("unknown argument '" + flag + "'");
  }
  return settings;
}

struct Totals {
  int stops = 0;
  int bad_exits = 0;  // not by itself with 0, or not at all
  LoadResult load;

  bool are_clean() const { return load.is_clean() && bad_exits == 0; }
};

// What must be the same for two runs to be one. The last line of the file.
std::string test_of(const Settings& settings) {
  std::string test = std::to_string(settings.clients) + " clients, seed " +
                     std::to_string(settings.seed) + ", stopped:";
  for (const std::string& word : settings.server.command) test += ' ' + word;
  return test;
}

Totals read_state(const Settings& settings) {
  Totals totals;
  if (settings.state.empty() || !std::filesystem::exists(settings.state)) return totals;
  std::ifstream file(settings.state);
  LoadResult& load = totals.load;
  std::string test;
  file >> totals.stops >> totals.bad_exits >> load.answered >> load.reset >> load.cut >>
      load.silent >> load.undecided >> load.late >> std::ws;
  if (!std::getline(file, test)) throw std::runtime_error("cannot make sense of " + settings.state);
  if (test != test_of(settings))
    throw std::runtime_error(settings.state + " is of another run: " + test);
  return totals;
}

// Either the old state or the new one is there, whenever we are killed.
void write_state(const Totals& totals, const Settings& settings) {
  if (settings.state.empty()) return;
  const std::string fresh = settings.state + ".new";
  const LoadResult& load = totals.load;
  std::ofstream file(fresh);
  file << totals.stops << ' ' << totals.bad_exits << ' ' << load.answered << ' ' << load.reset
       << ' ' << load.cut << ' ' << load.silent << ' ' << load.undecided << ' ' << load.late << '\n'
       << test_of(settings) << '\n';
  file.close();
  if (!file) throw std::runtime_error("cannot write " + fresh);
  std::filesystem::rename(fresh, settings.state);
}

std::string number(int n) { return with_commas(n, 0); }

// The next stop. It depends on its number and the seed only, not on where a run begins.
void stop_once(Totals& totals, const Settings& settings) {
  ++totals.stops;
  std::seed_seq seed{settings.seed, static_cast<unsigned>(totals.stops)};
  std::mt19937 random(seed);
  const std::size_t target = 250 + random() % 201;
  Server server(settings.server, {.sleep = 20ms});
  const LoadResult result = stop_under_load(server, settings.clients, target);
  const std::optional<Exit> exit = server.wait_for_exit(5s);
  totals.load += result;
  const bool good = exit && exit->with(0);
  if (!good) ++totals.bad_exits;
  if (good && result.is_clean()) return;
  std::cout << "Stop " << number(totals.stops) << ", after " << target << " answers, seed "
            << settings.seed << ": " << result.text() << "; "
            << (exit ? exit->text() : "still running" + why_it_runs(server.pid(), 2)) << std::endl;
}

int run(const Settings& settings) {
  if (settings.help) {
    std::cout << usage_text;
    return 0;
  }
  Totals totals = read_state(settings);
  std::list<Process> busy;
  for (int i = 0; i < settings.busy; ++i)
    busy.emplace_back(std::vector<std::string>{"sh", "-c", "while :; do :; done"});

  const auto start = Clock::now();
  while (totals.stops < settings.stops &&
         !(settings.limit && Clock::now() - start >= *settings.limit)) {
    stop_once(totals, settings);
    write_state(totals, settings);
  }
  std::cout << number(totals.stops);
  if (totals.stops < settings.stops) std::cout << " of " << number(settings.stops);
  std::cout << " stops: " << totals.load.text() << "; "
            << (totals.bad_exits == 0 ? "every exit was 0"
                                      : "exits other than 0: " + number(totals.bad_exits))
            << '\n';
  flush_stdout();
  return totals.are_clean() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("soak", usage_text, [&] { return run(parse({argc, argv})); });
}
