// promises: judges the four stages, or any server, by what can be seen from outside.

#include "contract.hpp"
#include "judging.hpp"
#include "promises.hpp"
#include "report.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>
#include <utility>

#include <unistd.h>

namespace {

constexpr std::string_view usage_text =
    R"(Usage: promises [options]                       judge the four stages
       promises [options] -- SERVER [ARGUMENT...]  judge that server

The server must listen on 127.0.0.1, answer / with a page that says Hello!,
/sleep with the same page a while later, and all else with a 404 that says
Oops!. In its command, {port}, {sleep}, {workers}, {take}, {grace} and {html}
are filled in; a flag whose value a run does not need is left out. Example:
  promises -- ./my_server --port {port} --sleep-ms {sleep}

  --contract       print everything that a server is judged by, on one page
  --only N[,N...]  only these promises
  --port N         the port the server listens on, if it takes no {port}
  --sleep N        how long its /sleep takes, in ms (400)
  --workers N      how many requests it serves at the same time (4)
  --time-limit N   seconds for all promises together, of each repeat (60)
  --seed N         other times, numbers and orders; 0: those of the contract (0)
  --repeat N       judge each promise N times, and report how often it is kept
                   (1); with a seed, each time with the next one
  --brief          print only what is not as expected
  --json           print each verdict as a line of JSON, and then the sum
  --help           print this and exit

Exit status: 0 if all is as expected (a server keeps every promise asked for,
except those it cannot be judged by; the stages keep and break what they are
meant to), 1 if not, 2 for a mistake in the command line, a server that does not
start, or a shortage of the checker's own; 130 after Ctrl-C, with the verdicts
so far.
)";

struct Settings {
  std::vector<int> only;
  bool json = false;
  bool help = false;
  bool contract = false;
  bool brief = false;
  int repeat = 1;
  unsigned seed = 0;
  Limits limits;
  std::uint16_t typed_port = 7878;
  Subject server;  // its command is empty: the stages

  bool is_for_stages() const { return server.command.empty(); }
};

std::vector<int> numbers(const std::string& flag, std::string_view list) {
  std::vector<int> found;
  while (true) {
    const std::size_t comma = list.find(',');
    found.push_back(
        parse_number(flag, list.substr(0, comma), 1, static_cast<int>(promises().size())));
    if (comma == std::string_view::npos) return found;
    list.remove_prefix(comma + 1);
  }
}

Settings parse(Arguments arguments) {
  Settings settings;
  while (arguments.next()) {
    const std::string flag = arguments.word();
    if (flag == "--only")
      settings.only = numbers(flag, arguments.value());
    else if (flag == "--port")
      settings.server.port = static_cast<std::uint16_t>(arguments.number(1, 65535));
    else if (flag == "--sleep")
      settings.server.sleep = std::chrono::milliseconds(arguments.number(1, 4000));
    else if (flag == "--workers")
      settings.server.workers = static_cast<std::size_t>(arguments.number(1, 1000));
    else if (flag == "--time-limit")
      settings.limits.all = std::chrono::seconds(arguments.number(1, 86400));
    else if (flag == "--seed")
      settings.seed = static_cast<unsigned>(arguments.number(0, 1'000'000'000));
    else if (flag == "--repeat")
      settings.repeat = arguments.number(1, 99);
    else if (flag == "--brief")
      settings.brief = true;
    else if (flag == "--json")
      settings.json = true;
    else if (flag == "--contract")
      settings.contract = true;
    else if (flag == "--help")
      settings.help = true;
    else if (flag == "--")
      settings.server.command = arguments.server();
    else
      throw Usage("unknown argument '" + flag + "'");
  }
  settings.limits.all *= settings.repeat;
  return settings;
}

// Pages with words of their own, for a server that can be told where they are; gone with it.
class Pages {
 public:
  explicit Pages(Settings& settings) {
    if (!settings.server.knows("{html}")) return;
    std::error_code none;
    std::string name = std::filesystem::temp_directory_path(none) / "promises-XXXXXX";
    if (none) throw std::runtime_error("there is no folder for the pages: see TMPDIR");
    if (::mkdtemp(name.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), "cannot make " + name);
    folder_ = settings.server.html = name;
    std::mt19937 random(settings.seed);
    const auto page = [&](const char* file, std::string& says) {
      if (settings.seed != 0) says = "Word " + std::to_string(random());
      std::ofstream out(std::filesystem::path(folder_) / file);
      out << "<!DOCTYPE html>\n<title>" << says << "</title>\n<h1>" << says << "</h1>\n";
      out.close();
      if (!out) throw std::runtime_error("cannot write " + folder_ + '/' + file);
    };
    page("hello.html", settings.server.hello);
    page("404.html", settings.server.oops);
  }
  Pages(const Pages&) = delete;
  ~Pages() {
    std::error_code gone;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, gone);
  }

 private:
  std::string folder_;
};

// In the order of the promises, and of each those of stage 1 to 4; `repeat` in a row for each.
std::vector<Task> make_tasks(const Settings& settings) {
  std::vector<Task> tasks;
  for (const Promise& promise : promises()) {
    if (!settings.only.empty() && std::ranges::count(settings.only, promise.number) == 0) continue;
    const int last_stage = settings.is_for_stages() ? 4 : 0;
    for (int stage = settings.is_for_stages() ? 1 : 0; stage <= last_stage; ++stage) {
      for (int run = 1; run <= settings.repeat; ++run) {
        const unsigned seed =
            settings.seed == 0 ? 0 : settings.seed + static_cast<unsigned>(run) - 1;
        tasks.push_back({stage, run, &promise, stage == 0 ? settings.server : stage_subject(stage),
                         seed, settings.typed_port});
      }
    }
  }
  return tasks;
}

// Prints what can be printed, in order, as soon as it can; and on a terminal how far it is.
class Printer {
 public:
  Printer(const Settings& settings, std::span<const Task> tasks)
      : settings_(settings),
        tasks_(tasks),
        style_{settings.brief, !settings.only.empty()},
        runs_(static_cast<std::size_t>(settings.repeat)) {
    if (settings.json) return;
    if (settings.is_for_stages())
      print_matrix_header();
    else if (!settings.brief)
      print_list_header(tasks.front());
  }

  void print(const Task& made) {
    ++made_;
    const std::size_t first = static_cast<std::size_t>(&made - tasks_.data()) / runs_ * runs_;
    if (settings_.json && is_made(first, runs_))
      print_json(summed_up(tasks_.subspan(first, runs_)));
    clear_progress();
    const std::size_t row = runs_ * (settings_.is_for_stages() ? 4 : 1);
    for (; next_ < tasks_.size() && is_made(next_, row); next_ += row) print_row(next_, row);
    if (is_terminal(STDERR_FILENO) && made_ < tasks_.size())
      std::cerr << "judged " << made_ << " of " << tasks_.size() << std::flush;
  }

  // The rest, and the sum.
  void finish(const Course& course) {
    clear_progress();
    for (std::size_t first = 0; first < tasks_.size(); first += runs_) {
      if (!is_made(first, runs_)) continue;
      all_.push_back(summed_up(tasks_.subspan(first, runs_)));
      if (first >= next_ && !settings_.json && !settings_.is_for_stages())
        print_list_entry(all_.back(), style_);
    }
    if (settings_.json) return print_json_sum(all_, course, settings_.seed);
    if (settings_.is_for_stages())
      print_matrix_sum(all_, style_);
    else
      print_list_sum(all_, settings_.only.empty() && !course.interrupted);
    print_course(course, settings_.seed);
    if (settings_.is_for_stages() && settings_.only.empty() && !course.interrupted)
      std::cout << "The evidence for a row: build/tests/promises --only 6\n";
  }

  int status(const Course& course) const {
    const auto is = [&](auto what) { return std::ranges::any_of(all_, what); };
    if (course.interrupted) return 130;
    if (is(&Verdicts::any_ours)) return 2;
    const bool judged =
        is([](const Verdicts& one) { return one.task->judgement->verdict != Verdict::not_judged; });
    return judged && std::ranges::all_of(all_, &Verdicts::are_as_expected) ? 0 : 1;
  }

 private:
  bool is_made(std::size_t first, std::size_t count) const {
    return std::ranges::all_of(tasks_.subspan(first, count),
                               [](const Task& task) { return task.judgement.has_value(); });
  }

  void print_row(std::size_t first, std::size_t count) const {
    if (settings_.json) return;
    std::vector<Verdicts> row;
    for (std::size_t i = first; i < first + count; i += runs_)
      row.push_back(summed_up(tasks_.subspan(i, runs_)));
    if (settings_.is_for_stages())
      print_matrix_row(row, style_);
    else
      print_list_entry(row.front(), style_);
  }

  void clear_progress() const {
    if (is_terminal(STDERR_FILENO)) std::cerr << "\r\033[K" << std::flush;
  }

  const Settings& settings_;
  std::span<const Task> tasks_;
  Style style_;
  std::size_t runs_;
  std::size_t made_ = 0;
  std::size_t next_ = 0;  // the first that has not been printed
  std::vector<Verdicts> all_;
};

int judge_as_told(Settings settings) {
  prepare_to_judge();
  const Pages pages(settings);
  std::size_t left_behind = 0;      // by the first look
  if (!settings.is_for_stages()) {  // A mistyped name or flag is no broken promise.
    const std::optional<Look> look = look_at(settings.server);
    if (!look) return 130;
    left_behind = look->left_behind;
    if (!settings.server.knows("{port}")) settings.typed_port = look->port;
    for (const std::string& line : look->lines) {
      if (settings.json)
        std::cout << "{\"note\": " << json_string(line) << "}" << std::endl;
      else
        std::cout << line << std::endl;
    }
  }
  std::vector<Task> tasks = make_tasks(settings);
  Printer printer(settings, tasks);
  // A server with a port of its own can run only once at a time.
  const bool alone = !settings.is_for_stages() && !settings.server.knows("{port}");
  Course course = judge_all(tasks, alone ? 1 : 8, settings.limits,
                            [&](const Task& made) { printer.print(made); });
  course.left_behind += left_behind;
  printer.finish(course);
  flush_stdout();
  return printer.status(course);
}

int run(const Settings& settings) {
  if (settings.help || settings.contract) {
    std::cout << (settings.help ? usage_text : contract_text);
    return 0;
  }
  try {
    return judge_as_told(settings);
  } catch (const std::exception& error) {
    if (settings.json) std::cout << "{\"error\": " << json_string(error.what()) << "}\n";
    throw;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("promises", usage_text, [&] { return run(parse({argc, argv})); });
}
