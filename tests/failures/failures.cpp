// failures: makes each call of each stage fail, once with each error of its manual, and says what
// then held and what did not.

#include "failures.hpp"

#include "real.hpp"
#include "simulated.hpp"
#include "tests/explore/faults.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/parallel.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <sys/single_threaded.h>
#include <sys/wait.h>
#include <unistd.h>

namespace failures {

std::string to_text(const Point& point) {
  return point.script + ':' + point.thread + ':' + point.call + ':' + std::to_string(point.number) +
         (point.times > 1 ? 'x' + std::to_string(point.times) : "") + ':' +
         ::strerrorname_np(point.error);
}

Point parse_point(const std::string& text) {
  std::istringstream words(text);
  Point point;
  std::string number;
  std::string error;
  for (std::string* word : {&point.script, &point.thread, &point.call, &number})
    std::getline(words, *word, ':');
  std::getline(words, error);
  const Call* const call = find_call(point.call);
  if (call == nullptr) throw Usage("'" + text + "' names no call that a stage makes");
  const std::size_t x = std::min(number.find('x'), number.size());
  point.number = parse_number("the number of the call", number.substr(0, x), 1, 1'000'000);
  if (x < number.size())
    point.times = parse_number("how often it fails", number.substr(x + 1), 1, 1'000'000);
  const auto named = [&](int known) { return error == ::strerrorname_np(known); };
  const auto found = std::ranges::find_if(call->errors, named);
  if (found == call->errors.end())
    throw Usage("no manual of " + point.call + "() lists '" + error + "'");
  point.error = *found;
  return point;
}

namespace {

constexpr std::string_view usage =
    "usage: failures [--stage N | --module FILE] [--list | --quick | POINT]\n"
    "\n"
    "Makes each call of a stage fail, once with each error in its manual page, and reports what "
    "then held.\n"
    "  --stage N      this one, and not all four\n"
    "  --module FILE  stage 4 from this library, in the simulated kernel only\n"
    "  --list         prints each violation, also where stages 1 to 3 break something on "
    "purpose\n"
    "  --quick        stage 4 in the simulated kernel, two errors of each call: half a second\n"
    "  POINT          one again, step by step: busy:main:accept4:3:ENOMEM\n"
    "Exit status: 0 if stage 4 keeps everything, 1 if not, 2 if something could not be tested.\n";

constexpr std::size_t at_a_time = 12;  // servers that mostly wait

struct Options {
  std::vector<int> stages{1, 2, 3, 4};
  std::string module;  // instead of the one in the build folder
  bool list = false;
  bool quick = false;
  bool help = false;
  std::string point;

  bool goes_to_the_real_kernel() const {
    return !quick && module.empty() && (point.empty() || point.find(":real:") != point.npos);
  }
};

Options parse(int argc, char** argv) {
  Options options;
  for (Arguments arguments(argc, argv); arguments.next();) {
    const std::string word = arguments.word();
    if (word == "--stage") {
      options.stages = {arguments.number(1, 4)};
    } else if (word == "--module") {
      options.module = arguments.value();
      options.stages = {4};
    } else if (word == "--list") {
      options.list = true;
    } else if (word == "--quick") {
      options.quick = true;
    } else if (word == "--help") {
      options.help = true;
    } else if (word.starts_with("-") || word.empty() || !options.point.empty()) {
      throw Usage("there is no '" + word + "'");
    } else {
      options.point = word;
    }
  }
  if (options.list + options.quick + !options.point.empty() > 1)
    throw Usage("--list, --quick and POINT are three things");
  if (options.quick && options.stages.size() > 1) options.stages = {4};
  if (options.quick && options.stages != std::vector{4}) throw Usage("--quick is of stage 4");
  return options;
}

std::string program_of(int stage) {
  const std::filesystem::path program = stage_subject(stage).command.at(0);
  return std::filesystem::relative(program, BUILD).string();
}

std::string library_of(int stage) { return "tests/stage" + std::to_string(stage) + "_server.so"; }

std::string module_of(const Options& options, int stage) {
  return options.module.empty() ? BUILD "/" + library_of(stage) : options.module;
}

// --- the simulated kernel ------------------------------------------------------------------------
// In a process of its own: explore is one thread, with a timer that interrupts its system calls.

std::string as_line(const Result& result) {
  const Verdict& verdict = result.verdict;
  std::string line = to_text(result.point) + '\t' + (verdict.met ? '1' : '0') + '\t' +
                     (verdict.lost_own ? '1' : '0') + '\t' + std::to_string(verdict.runs) + '\t' +
                     verdict.not_tried;
  for (const std::string& how : verdict.broken) line += '\t' + how;
  std::ranges::replace(line, '\n', ' ');
  return line + '\n';
}

Result parse_line(const std::string& line) {
  std::istringstream words(line);
  const auto next = [&words] {
    std::string word;
    std::getline(words, word, '\t');
    return word;
  };
  Result result;
  result.point = parse_point(next());
  result.verdict.met = next() == "1";
  result.verdict.lost_own = next() == "1";
  result.verdict.runs = std::stoi(next());
  result.verdict.not_tried = next();
  for (std::string& how : result.verdict.broken) how = next();
  return result;
}

class Simulation {
 public:
  Simulation(const std::string& file, bool quick) : file_(std::tmpfile(), std::fclose) {
    if (!file_) throw std::system_error(errno, std::generic_category(), "cannot make a file");
    pid_ = ::fork();
    if (pid_ == -1) throw std::system_error(errno, std::generic_category(), "cannot fork");
    if (pid_ != 0) return;
    ::_exit(run_tool("failures", "", [&] {
      explore::watch_for_faults();
      const explore::Module module(file);
      for (const Point& point : simulated_points(module, quick)) {
        const std::string line = as_line({point, try_simulated(module, point, quick)});
        std::fwrite(line.data(), 1, line.size(), file_.get());
      }
      return std::fflush(file_.get()) == 0 && std::ferror(file_.get()) == 0 ? 0 : 2;
    }));
  }
  Simulation(const Simulation&) = delete;
  ~Simulation() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  std::vector<Result> results() {
    int status = 0;
    if (::waitpid(std::exchange(pid_, -1), &status, 0) == -1 || status != 0)
      throw std::runtime_error("the simulation has failed");
    std::rewind(file_.get());
    std::vector<Result> all;
    std::string line;
    for (int c = 0; (c = std::fgetc(file_.get())) != EOF;) {
      if (c != '\n') {
        line += static_cast<char>(c);
        continue;
      }
      all.push_back(parse_line(std::exchange(line, {})));
    }
    return all;
  }

 private:
  std::unique_ptr<FILE, int (*)(FILE*)> file_;
  pid_t pid_ = -1;
};

// --- all of it -----------------------------------------------------------------------------------

struct Stage {
  int number;
  std::vector<Result> simulated;
  std::vector<Result> real;
};

std::vector<Result> try_all_real(int stage) {
  const std::vector<Point> points = real_points(stage);
  std::vector<Result> results(points.size());
  in_parallel(points.size(), at_a_time, [&](std::size_t i) {
    results[i].point = points[i];
    try {
      results[i].verdict = try_real(stage, points[i]);
    } catch (const std::exception& error) {
      results[i].verdict.not_tried = error.what();
    }
  });
  return results;
}

std::vector<Stage> try_all(const Options& options) {
  std::vector<std::unique_ptr<Simulation>> simulations;
  for (const int number : options.stages)
    simulations.push_back(std::make_unique<Simulation>(module_of(options, number), options.quick));
  std::vector<Stage> stages;
  for (const int number : options.stages) {
    stages.push_back({number, {}, {}});
    if (options.goes_to_the_real_kernel()) stages.back().real = try_all_real(number);
  }
  for (std::size_t i = 0; i < stages.size(); ++i) stages[i].simulated = simulations[i]->results();
  return stages;
}

template <typename Count>
void print_row(std::string_view title, const std::vector<Stage>& stages, Count count) {
  std::printf("%-56s", std::string(title).c_str());
  for (const Stage& stage : stages)
    std::printf(" %9s", with_commas(static_cast<double>(count(stage)), 0).c_str());
  std::puts("");
}

template <typename Holds>
long count_if(const Stage& stage, Holds holds) {
  return std::ranges::count_if(stage.simulated, holds) + std::ranges::count_if(stage.real, holds);
}

bool is_broken(const Result& result) { return result.verdict.is_broken(); }

void print_table(const std::vector<Stage>& stages) {
  std::printf("%-56s", "Every failure once");
  for (const Stage& stage : stages) std::printf("   stage %d", stage.number);
  std::puts("");
  print_row("points in the simulated kernel", stages,
            [](const Stage& s) { return s.simulated.size(); });
  print_row("  runs of them", stages, [](const Stage& s) {
    long runs = 0;
    for (const Result& result : s.simulated) runs += result.verdict.runs;
    return runs;
  });
  print_row("points in the real kernel", stages, [](const Stage& s) { return s.real.size(); });
  print_row("  that the server did not reach, this time", stages, [](const Stage& s) {
    return count_if(s,
                    [](const Result& r) { return !r.verdict.met && r.verdict.not_tried.empty(); });
  });
  print_row("points not tested", stages, [](const Stage& s) {
    return count_if(s, [](const Result& r) { return !r.verdict.not_tried.empty(); });
  });
  print_row("points that cost nobody but the client being served", stages, [](const Stage& s) {
    return count_if(s, [](const Result& r) { return r.verdict.lost_own && !is_broken(r); });
  });
  std::puts("violations");
  for (std::size_t i = 0; i < invariants.size(); ++i) {
    print_row("  " + std::string(invariants[i]), stages, [i](const Stage& s) {
      return count_if(s, [i](const Result& r) { return !r.verdict.broken[i].empty(); });
    });
  }
}

// Of stages 1 to 3 one violation of each kind, unless all are asked for: they are on purpose.
void print_violations(const std::vector<Stage>& stages, const Options& options) {
  std::map<std::pair<int, std::size_t>, int> told;
  const auto print = [&](int stage, const Result& result) {
    for (std::size_t i = 0; i < invariants.size(); ++i) {
      const std::string& how = result.verdict.broken[i];
      if (how.empty() || (told[{stage, i}]++ > 0 && stage < 4 && !options.list)) continue;
      const std::string which = options.module.empty() ? "--stage " + std::to_string(stage)
                                                       : "--module " + options.module;
      std::printf("\nstage %d: %s\n  build/tests/failures %s %s\n", stage, how.c_str(),
                  which.c_str(), to_text(result.point).c_str());
    }
  };
  for (const Stage& stage : stages) {
    for (const Result& result : stage.simulated) print(stage.number, result);
    for (const Result& result : stage.real) print(stage.number, result);
  }
}

// What is not made to fail, by name. False if a call is of no kind that is known, or nobody can
// tell.
bool compare_with_strace() {
  std::puts("\nNot made to fail, of what strace sees stage 4 call:");
  try {
    bool all_known = true;
    for (const std::string& call : traced(4)) {
      const bool fails = std::ranges::any_of(manual(), [&](const Call& known) {
        return (' ' + std::string(known.systems) + ' ').find(' ' + call + ' ') != std::string::npos;
      });
      if (fails) continue;
      const auto found = std::ranges::find(spared(), call, &Spared::name);
      all_known = all_known && found != spared().end();
      std::printf("  %s: %s\n", call.c_str(),
                  found == spared().end() ? "NOBODY KNOWS WHY" : std::string(found->why).c_str());
    }
    return all_known;
  } catch (const std::exception& error) {
    std::printf("  not compared: %s\n", error.what());
    return false;
  }
}

int try_and_tell(const Options& options) {
  const std::vector<Stage> stages = try_all(options);
  print_table(stages);
  print_violations(stages, options);
  long not_tried = 0;
  long broken = 0;
  for (const Stage& stage : stages) {
    not_tried += count_if(stage, [](const Result& r) { return !r.verdict.not_tried.empty(); });
    if (stage.number == 4) broken += count_if(stage, is_broken);
    if (stage.simulated.empty() || (stage.real.empty() && options.goes_to_the_real_kernel()))
      throw std::runtime_error("there was nothing to try");
  }
  const bool compared =
      !options.goes_to_the_real_kernel() || stages.back().number != 4 || compare_with_strace();
  if (broken > 0) return 1;
  return not_tried > 0 || !compared ? 2 : 0;
}

int tell_one(const Options& options) {
  const Point point = parse_point(options.point);
  if (options.stages.size() > 1) throw Usage("of which stage? --stage N");
  const int stage = options.stages[0];
  Verdict verdict;
  if (point.thread == "real") {
    verdict = try_real(stage, point);
  } else {
    explore::watch_for_faults();
    const explore::Module module(module_of(options, stage));
    verdict = try_simulated(module, point, false);
    std::puts(tell_simulated(module, point).c_str());
  }
  if (!verdict.not_tried.empty()) throw std::runtime_error(verdict.not_tried);
  if (!verdict.met) throw std::runtime_error("the server did not come to this call");
  if (verdict.lost_own) std::puts("It cost the client that was being served.");
  for (std::size_t i = 0; i < invariants.size(); ++i) {
    if (verdict.broken[i].empty()) continue;
    std::printf("Violation: %s.\n  %s\n", std::string(invariants[i]).c_str(),
                verdict.broken[i].c_str());
  }
  if (!verdict.is_broken()) std::puts("No violation.");
  return verdict.is_broken() ? 1 : 0;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.help) {
    std::fputs(usage.data(), stdout);
    return 0;
  }
  for (const int stage : options.stages) {
    const std::string file = module_of(options, stage);
    if (!std::filesystem::exists(file))
      throw std::runtime_error("there is no " + file + ": ninja -C build explored");
    if (options.module.empty()) explore::expect_up_to_date(library_of(stage));
    if (!options.goes_to_the_real_kernel()) continue;
    for (const std::string& built : {std::string("tests/failing.so"), program_of(stage)})
      explore::expect_up_to_date(built);
  }
  return options.point.empty() ? try_and_tell(options) : tell_one(options);
}

}  // namespace
}  // namespace failures

int main(int argc, char** argv) {
  __libc_single_threaded = 0;  // or shared_ptr counts without atomics: see explore.cpp
  return run_tool("failures", failures::usage, [&] { return failures::run(argc, argv); });
}
