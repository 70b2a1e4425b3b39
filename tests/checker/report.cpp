#include "report.hpp"

#include "tests/harness/cli.hpp"

#include <algorithm>
#include <cctype>
#include <iostream>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

const Judgement& judgement_of(const Verdicts& verdicts) { return *verdicts.task->judgement; }

// "+ kept", "x 3 of 20", nine columns wide unless it ends the line.
std::string cell(const Verdicts& verdicts, bool padded) {
  const Verdict verdict = judgement_of(verdicts).verdict;
  std::string text = verdict == Verdict::kept     ? "+ kept"
                     : verdict == Verdict::broken ? "x broken"
                                                  : "-";
  if (verdicts.runs > 1)
    text = text.substr(0, 2) + std::to_string(verdicts.kept) + '/' + std::to_string(verdicts.runs);
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

void print_why(const Verdicts& verdicts) {
  const int stage = verdicts.task->stage;
  std::cout << "   " << (stage == 0 ? "" : "stage " + std::to_string(stage) + ": ");
  if (verdicts.runs > 1) std::cout << "run " << verdicts.task->run << ": ";
  std::cout << judgement_of(verdicts).evidence << '\n';
}

std::string with_all_replaced(std::string text, std::string_view old, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(old, at)) != std::string::npos; at += by.size())
    text.replace(at, old.size(), by);
  return text;
}

// As it is typed.
std::string quoted(const std::string& word) {
  const bool is_plain = std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("/._-=:,+@%").find(c) != std::string_view::npos;
  });
  return is_plain && !word.empty() ? word : '\'' + with_all_replaced(word, "'", "'\\''") + '\'';
}

// Of a server that is looked at by hand: its /sleep lasts long enough for that.
std::string typed_command(const Task& task, Run run) {
  Subject subject = task.subject;
  subject.html.clear();  // those pages are gone by then
  subject.port = task.typed_port;
  run.sleep = std::chrono::seconds(3);
  std::string line;
  for (const std::string& word : command_line(subject, run))
    line += (line.empty() ? "" : " ") + quoted(word);
  return line;
}

std::string by_hand(const Task& task) {
  std::string line = task.judgement->by_hand;
  const auto put_in = [&](std::string_view name, const std::string& value) {
    line = with_all_replaced(line, name, value);
  };
  put_in("7878", std::to_string(task.typed_port));
  put_in("{workers}", std::to_string(task.subject.workers));
  put_in("{server}", typed_command(task, {}));
  put_in("{server with take}", typed_command(task, {.take = 2}));
  put_in("{server with grace}", typed_command(task, {.grace = std::chrono::milliseconds(300)}));
  return line;
}

// Two lines of a terminal at most: the whole matrix has to fit into 24.
std::string shortened(const std::string& text) {
  constexpr std::size_t two_lines = 158;
  const std::string line = text.substr(0, text.find('\n'));
  return line.size() <= two_lines ? line : line.substr(0, two_lines - 3) + "...";
}

std::string numbers(std::span<const Verdicts> all, Verdict verdict) {
  std::string list;
  for (const Verdicts& one : all) {
    if (judgement_of(one).verdict == verdict)
      list += (list.empty() ? "" : ", ") + std::to_string(one.task->promise->number);
  }
  return list;
}

std::size_t count(std::span<const Verdicts> all, Verdict verdict) {
  return static_cast<std::size_t>(std::ranges::count(
      all, verdict, [](const Verdicts& one) { return judgement_of(one).verdict; }));
}

// How many verdicts are those of a stage.
std::size_t likeness(std::span<const Verdicts> all, std::size_t stage) {
  return static_cast<std::size_t>(std::ranges::count_if(all, [&](const Verdicts& one) {
    return judgement_of(one).verdict == one.task->promise->expected[stage - 1];
  }));
}

std::string likest(std::span<const Verdicts> all) {
  std::size_t best = 1;
  for (std::size_t stage = 2; stage <= 4; ++stage) {
    if (likeness(all, stage) >= likeness(all, best)) best = stage;
  }
  if (8 * likeness(all, best) < 7 * all.size()) return "Behaves like none of the four stages.";
  return "Behaves like stage " + std::to_string(best) + " in " +
         std::to_string(likeness(all, best)) + " of " + std::to_string(all.size()) + ".";
}

}  // namespace

Verdicts summed_up(std::span<const Task> runs) {
  const auto badness = [](const Task& task) {
    return std::pair(!task.is_as_expected(), task.judgement->verdict == Verdict::broken);
  };
  return {&*std::ranges::max_element(runs, {}, badness),
          static_cast<std::size_t>(std::ranges::count_if(
              runs, [](const Task& task) { return task.judgement->verdict == Verdict::kept; })),
          runs.size(), std::ranges::all_of(runs, &Task::is_as_expected),
          std::ranges::any_of(
              runs, [](const Task& task) { return task.judgement->trouble == Trouble::ours; })};
}

void print_json(const Verdicts& verdicts) {
  const Task& task = *verdicts.task;
  std::cout << "{\"promise\": " << task.promise->number;
  if (task.stage != 0) std::cout << ", \"stage\": " << task.stage;
  std::cout << ", \"title\": " << json_string(task.promise->title)
            << ", \"verdict\": " << json_string(word(task.judgement->verdict))
            << ", \"expected\": " << json_string(word(task.expected()))
            << ", \"evidence\": " << json_string(task.judgement->evidence) << ", \"by_hand\": "
            << json_string(task.judgement->verdict == Verdict::broken ? by_hand(task) : "");
  if (verdicts.runs > 1)
    std::cout << ", \"run\": " << task.run << ", \"kept\": " << verdicts.kept
              << ", \"runs\": " << verdicts.runs;
  std::cout << "}" << std::endl;
}

void print_json_sum(std::span<const Verdicts> all, const Course& course, unsigned seed) {
  std::cout << "{\"kept\": " << count(all, Verdict::kept)
            << ", \"broken\": " << count(all, Verdict::broken)
            << ", \"not_judged\": " << count(all, Verdict::not_judged)
            << ", \"as_expected\": " << std::ranges::count(all, true, &Verdicts::are_as_expected)
            << ", \"interrupted\": " << (course.interrupted ? "true" : "false")
            << ", \"left_behind\": " << course.left_behind << ", \"seed\": " << seed
            << ", \"ms\": " << course.took.count() << "}" << std::endl;
}

void print_matrix_header() {
  std::cout << "   Stage...                                 1        2        3        4\n";
}

void print_matrix_row(std::span<const Verdicts> stages, const Style& style) {
  if (style.brief && std::ranges::all_of(stages, &Verdicts::are_as_expected)) return;
  std::cout << row_head(*stages.front().task->promise);
  for (const Verdicts& stage : stages) std::cout << cell(stage, &stage != &stages.back());
  std::cout << '\n';
  if (style.evidence) std::ranges::for_each(stages, print_why);
  std::cout << std::flush;
}

void print_matrix_sum(std::span<const Verdicts> all, const Style& style) {
  if (!style.brief && !style.evidence && all.size() > 20) print_matrix_header();
  std::cout << std::ranges::count(all, true, &Verdicts::are_as_expected) << " of " << all.size()
            << " verdicts are as expected.\n";
  for (const Verdicts& one : all) {
    if (one.are_as_expected) continue;
    std::string line = "Stage " + std::to_string(one.task->stage) + ", promise " +
                       std::to_string(one.task->promise->number);
    if (one.runs > 1) line += ", run " + std::to_string(one.task->run);
    line += ": expected " + std::string(word(one.task->expected())) + ", got " +
            std::string(word(judgement_of(one).verdict)) + ": " + judgement_of(one).evidence;
    std::cout << shortened(line) << '\n';
  }
}

void print_list_header(const Task& task) {
  std::cout << "To see it by hand, start the server in one terminal:\n  " << typed_command(task, {})
            << "\nIn another, type\n  PID=$(ss -Htlnp sport = :" << task.typed_port
            << " | grep -oP 'pid=\\K\\d+' | sort -n | head -1)\n"
               "and then the command shown. If curl fails with 52 or 56, the request was lost;\n"
               "with 7, it was refused. In the first terminal, echo $? shows how the server\n"
               "ended.\n\n";
}

void print_list_entry(const Verdicts& verdicts, const Style& style) {
  if (style.brief && verdicts.are_as_expected) return;
  std::cout << row_head(*verdicts.task->promise) << cell(verdicts, false) << '\n';
  print_why(verdicts);
  const std::string line = by_hand(*verdicts.task);
  if (judgement_of(verdicts).verdict == Verdict::broken && !style.brief && !line.empty())
    std::cout << "   by hand: " << line << '\n';
  std::cout << std::flush;
}

void print_list_sum(std::span<const Verdicts> all, bool all_promises) {
  std::cout << "\nKeeps " << count(all, Verdict::kept) << " of " << all.size() << " promises.";
  if (all_promises) std::cout << ' ' << likest(all);
  std::cout << '\n';
  if (const std::string broken = numbers(all, Verdict::broken); !broken.empty())
    std::cout << "Broken: " << broken << ".\n";
  if (const std::string open = numbers(all, Verdict::not_judged); !open.empty())
    std::cout << "Not judged: " << open << ".\n";
}

void print_course(const Course& course, unsigned seed) {
  if (course.interrupted) std::cout << "Interrupted: the others were not judged.\n";
  if (course.left_behind > 0)
    std::cout << "Processes that the server left behind, now ended: " << course.left_behind << '\n';
  if (seed != 0) std::cout << "To repeat this run: --seed " << seed << '\n';
}
