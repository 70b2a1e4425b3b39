// promises: judges the four stages, or any server, by what can be seen from outside.

#include "promises.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/parallel.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <numeric>

#include <unistd.h>

namespace {

constexpr std::string_view usage_text =
    R"(Usage: promises [options]                       judge the four stages
       promises [options] -- SERVER [ARGUMENT...]  judge that server

The server must listen on 127.0.0.1, answer / with a page that says Hello!,
/sleep with the same a while later, and all else with a 404 that says Oops!.
In its command, {port}, {sleep}, {workers}, {take} and {grace} are
filled in; a flag whose value a run does not need is left out. Example:
  promises -- ./my_server --port {port} --sleep-ms {sleep}

  --only N[,N...]  only these promises
  --port N         the port the server listens on, if it cannot be told one
  --sleep N        how long its /sleep takes, in ms (400)
  --workers N      how many requests it serves at once (4)
  --json           print a list of judgements for a script
  --help           print this and exit

Exit status: 0 if all is as it should be (a server keeps every promise asked
for, but for those it cannot be judged by; the stages keep and break what they
are meant to), 1 if not, 2 for a mistake in the command line or a server that
does not start.
)";

struct Settings {
  std::vector<int> only;
  bool json = false;
  bool help = false;
  Subject server;  // its command is empty: the stages
};

struct Task {
  int stage;  // 0: the server of the command line
  const Promise* promise;
  Judgement judgement{};

  Verdict expected() const {
    return stage == 0 ? Verdict::kept : promise->expected[static_cast<std::size_t>(stage) - 1];
  }
  // Only process 1 cannot be had everywhere; a server that cannot be told a value is judged by the
  // rest.
  bool is_as_expected() const {
    const bool excused = stage == 0 || promise->number == 15;
    return judgement.verdict == expected() || (judgement.verdict == Verdict::not_judged && excused);
  }
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
      settings.server.sleep = std::chrono::milliseconds(arguments.number(1, 60000));
    else if (flag == "--workers")
      settings.server.workers = static_cast<std::size_t>(arguments.number(1, 1000));
    else if (flag == "--json")
      settings.json = true;
    else if (flag == "--help")
      settings.help = true;
    else if (flag == "--")
      settings.server.command = arguments.server();
    else
      throw Usage("unknown argument '" + flag + "'");
  }
  return settings;
}

std::vector<Task> make_tasks(const Settings& settings) {
  std::vector<Task> tasks;
  for (const Promise& promise : promises()) {
    if (!settings.only.empty() && std::ranges::count(settings.only, promise.number) == 0) continue;
    if (!settings.server.command.empty()) {
      tasks.push_back({0, &promise});
    } else {
      for (int stage = 1; stage <= 4; ++stage) tasks.push_back({stage, &promise});
    }
  }
  return tasks;
}

// A server with a port of its own can run only once at a time.
void judge_all(std::vector<Task>& tasks, const Settings& settings) {
  const bool alone = !settings.server.command.empty() && !settings.server.knows("{port}");
  std::mutex mutex;
  std::size_t done = 0;  // guarded by mutex
  in_parallel(tasks.size(), alone ? 1 : 8, [&](std::size_t i) {
    Task& task = tasks[i];
    task.judgement =
        judge(*task.promise, task.stage == 0 ? settings.server : stage_subject(task.stage));
    const std::lock_guard lock(mutex);
    show_progress("judged", ++done, tasks.size());
  });
}

void print_json(const std::vector<Task>& tasks) {
  std::cout << "[";
  for (const Task& task : tasks) {
    std::cout << (&task == &tasks.front() ? "\n" : ",\n")
              << "  {\"promise\": " << task.promise->number;
    if (task.stage != 0) std::cout << ", \"stage\": " << task.stage;
    std::cout << ", \"title\": " << json_string(task.promise->title)
              << ", \"verdict\": " << json_string(word(task.judgement.verdict))
              << ", \"expected\": " << json_string(word(task.expected()))
              << ", \"evidence\": " << json_string(task.judgement.evidence)
              << ", \"by_hand\": " << json_string(task.promise->by_hand) << "}";
  }
  std::cout << "\n]\n";
}

// "+ kept", nine columns wide unless it ends the line.
std::string cell(const Judgement& judgement, bool padded) {
  const Verdict verdict = judgement.verdict;
  std::string text = verdict == Verdict::kept     ? "+ kept"
                     : verdict == Verdict::broken ? "x broken"
                                                  : "-";
  if (padded) text.resize(9, ' ');
  if (!use_colour(STDOUT_FILENO) || verdict == Verdict::not_judged) return text;
  return (verdict == Verdict::kept ? "\033[32m" : "\033[31m") + text + "\033[0m";
}

std::string row_head(const Promise& promise) {
  std::string text = (promise.number < 10 ? " " : "") + std::to_string(promise.number) + " " +
                     std::string(promise.title);
  text.resize(44, ' ');
  return text;
}

void print_why(const Task& task) {
  std::cout << "   " << (task.stage == 0 ? "" : "stage " + std::to_string(task.stage) + ": ")
            << task.judgement.evidence << '\n';
}

void print_matrix(const std::vector<Task>& tasks, bool with_evidence) {
  std::cout << "\n   A server of stage...                     1        2        3        4\n";
  for (std::size_t i = 0; i < tasks.size(); i += 4) {
    std::cout << row_head(*tasks[i].promise);
    for (std::size_t stage = 0; stage < 4; ++stage)
      std::cout << cell(tasks[i + stage].judgement, stage < 3);
    std::cout << '\n';
    if (with_evidence)
      std::for_each_n(tasks.begin() + static_cast<std::ptrdiff_t>(i), 4, print_why);
  }
}

void print_mistakes(const std::vector<Task>& tasks) {
  const auto wrong = [](const Task& task) { return !task.is_as_expected(); };
  const auto count = std::ranges::count_if(tasks, wrong);
  std::cout << '\n'
            << tasks.size() - static_cast<std::size_t>(count) << " of " << tasks.size()
            << " verdicts are the expected ones.\n";
  for (const Task& task : tasks) {
    if (!wrong(task)) continue;
    std::cout << "Stage " << task.stage << ", promise " << task.promise->number << " should be "
              << word(task.expected()) << " and is " << word(task.judgement.verdict) << ": "
              << task.judgement.evidence << '\n';
  }
}

void print_list(const std::vector<Task>& tasks, const std::string& program) {
  std::cout << "\nBy hand: start the server on port 7878 in one terminal, and in another say\n"
               "PID=$(pgrep -n "
            << program
            << ") and then what is told below. When curl fails with\n"
               "52 or 56 the request was lost, with 7 it was refused.\n\n";
  for (const Task& task : tasks) {
    std::cout << row_head(*task.promise) << cell(task.judgement, false) << '\n';
    print_why(task);
    if (task.judgement.verdict == Verdict::broken)
      std::cout << "   by hand: " << task.promise->by_hand << '\n';
  }
}

// How many verdicts are those of a stage.
std::size_t likeness(const std::vector<Task>& tasks, std::size_t stage) {
  return static_cast<std::size_t>(std::ranges::count_if(tasks, [&](const Task& task) {
    const Verdict expected = task.promise->expected[stage - 1];
    return task.judgement.verdict == expected;
  }));
}

void print_likeness(const std::vector<Task>& tasks) {
  std::size_t best = 1;
  for (std::size_t stage = 2; stage <= 4; ++stage) {
    if (likeness(tasks, stage) >= likeness(tasks, best)) best = stage;
  }
  const auto kept = std::ranges::count(tasks, Verdict::kept,
                                       [](const Task& task) { return task.judgement.verdict; });
  std::cout << "\nKeeps " << kept << " of " << tasks.size() << ". ";
  if (8 * likeness(tasks, best) < 7 * tasks.size()) {
    std::cout << "Behaves like none of the stages.\n";
  } else {
    std::cout << "Behaves like stage " << best << " in " << likeness(tasks, best) << " of "
              << tasks.size() << ".\n";
  }
}

int run(const Settings& settings) {
  if (settings.help) {
    std::cout << usage_text;
    return 0;
  }
  // A mistyped name or flag is no broken promise. Throws if it does not start.
  if (!settings.server.command.empty()) Server(settings.server);
  std::vector<Task> tasks = make_tasks(settings);
  judge_all(tasks, settings);
  if (settings.json) {
    print_json(tasks);
  } else if (settings.server.command.empty()) {
    print_matrix(tasks, !settings.only.empty());
    print_mistakes(tasks);
    if (settings.only.empty())
      std::cout << "The evidence for a row: build/tests/promises --only 6\n";
  } else {
    print_list(tasks, std::filesystem::path(settings.server.command.front()).filename().string());
    if (settings.only.empty()) print_likeness(tasks);
  }
  flush_stdout();
  const bool none_judged = std::ranges::all_of(
      tasks, [](const Task& task) { return task.judgement.verdict == Verdict::not_judged; });
  return std::ranges::all_of(tasks, &Task::is_as_expected) && !none_judged ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("promises", usage_text, [&] { return run(parse({argc, argv})); });
}
