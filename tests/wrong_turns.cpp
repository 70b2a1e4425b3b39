// wrong_turns: stage 4 with one bug each, judged by the promises. Each must break exactly what it
// is known to break, in the way it is known to.

#include "cli.hpp"
#include "parallel.hpp"
#include "promises.hpp"

#include <algorithm>
#include <iostream>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace {

// Promises that a fault breaks, and what the evidence says then; "..." stands for anything.
struct Symptom {
  std::vector<int> promises;
  std::string_view evidence;
};

struct WrongTurn {
  std::string_view name;  // of its patch in stage4_graceful_shutdown/wrong_turns, and its binary
  std::string_view fault;
  std::vector<Symptom> symptoms;  // the most telling one first
  std::vector<int> by_luck{};     // promises that are broken now and then
};

std::span<const WrongTurn> wrong_turns() {
  static const std::vector<WrongTurn> all{
      {"no_join",
       "the threads are not joined",
       {{{4}, "0 of 4 answered, ended by SIGABRT (...terminat"},
        {{5, 6, 8, 9, 10, 11, 12, 14, 16}, "SIGABRT"},
        {{7}, ""},
        {{15}, "ended by SIG"}}},
      {"detach",
       "the threads are detached instead of joined",
       {{{4, 5, 12}, "0 of ... answered, exit 0"},
        {{7}, ""},
        {{9, 10, 16}, "exit 0"},
        {{15}, "cut, exit 0"}},
       {6, 14}},
      {"join_before_close",
       "the workers are joined before the channel is closed",
       {{{11}, "on an idle server, start 1: still running"},
        {{4}, "4 of 4 answered, still running"},
        {{5}, "10 of 10 answered, still running"},
        {{6}, "50 of 50 answered, still running"},
        {{7, 8, 10, 12, 14, 16}, "still running"},
        {{15}, "SIGTERM is ignored"}}},
      {"end_taken_for_a_job",
       "a worker takes the end of the channel for a job",
       {{{11}, "ended by SIGABRT (...terminat"},
        {{4, 5, 6, 8, 10, 12, 14, 16}, "SIGABRT"},
        {{7}, ""},
        {{15}, "ended by SIG"}}},
      {"lock_held",
       "a lock is held while the job runs",
       {{{2}, "a fast request waited for an earlier slow one"}}},
      {"increment_accepts",
       "++ accepts the next connection",
       {{{12}, "the port is open after two connections"}}},
      {"flag_before_accept",
       "a flag is checked before the wait for a client",
       {{{11}, "on an idle server, start ...: still running"},
        {{4}, "4 of 4 answered, still running"},
        {{5}, "10 of 10 answered, still running"},
        {{8}, "still running"},
        {{10}, "a first Ctrl-C does not stop it"},
        {{15}, "SIGTERM is ignored"}}},
      {"exit_in_handler",
       "the handler itself ends the process, with status 0",
       {{{4, 5, 6, 14}, "0 of ... answered, exit 0"},
        {{7}, ""},
        {{9, 10, 16}, "exit 0"},
        {{15}, "cut, exit 0"}}},
      {"listener_closed_first",
       "the listener is closed before the accept queue is empty",
       {{{6}, "of 50 answered, exit 0"},
        {{14}, "0 of 5 answered, exit 0"},
        {{16}, "lost of ...; exit 0"}}},
      {"no_catch",
       "nobody catches what a job throws",
       {{{13}, "RST: 0 of 4 others answered, ended by SIGABRT (...terminat"}}},
      {"catch_around_the_loop",
       "the exception is caught around the loop, not around the job",
       {{{13}, "RST: 0 of 4 others answered"}}},
      {"closed_without_mutex",
       "the closed flag is set without the mutex",
       {{{16}, "still running under load"}},
       {4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15}},
      {"sigpipe",
       "SIGPIPE does what it does by default",
       {{{13}, "FIN, then RST: 0 of 4 others answered, ended by SIGPIPE"}}},
      {"no_last_call",
       "the workers do not hear of the stop",
       {{{8}, "still running 4"},
        {{12}, "with a silent client: still running"},
        {{14}, "still running"}}},
      {"busy_without_descriptors",
       "without descriptors, accept() is called again immediately",
       {{{14}, "spins while it has no descriptors"}}},
  };
  return all;
}

const Symptom* find_symptom(const WrongTurn& turn, int promise) {
  const auto found = std::ranges::find_if(turn.symptoms, [&](const Symptom& symptom) {
    return std::ranges::count(symptom.promises, promise) != 0;
  });
  return found == turn.symptoms.end() ? nullptr : &*found;
}

// Does `text` contain the parts of `pattern`, in their order?
bool contains(std::string_view text, std::string_view pattern) {
  constexpr std::string_view anything = "...";
  const std::size_t end = pattern.find(anything);
  const std::size_t at = text.find(pattern.substr(0, end));
  if (at == std::string_view::npos || end == std::string_view::npos)
    return at != std::string_view::npos;
  return contains(text.substr(at + end), pattern.substr(end + anything.size()));
}

struct Task {
  const WrongTurn* turn;
  const Promise* promise;
  Judgement judgement{};

  // What stage 4 does not keep by itself, no fault can break.
  bool counts() const { return promise->expected[3] == Verdict::kept; }
  bool is_broken() const { return counts() && judgement.verdict == Verdict::broken; }
  bool is_as_known() const;
};

bool Task::is_as_known() const {
  // Only process 1 cannot be had everywhere.
  const bool excused = promise->number == 15 && judgement.verdict == Verdict::not_judged;
  if (!counts() || excused || std::ranges::count(turn->by_luck, promise->number) != 0) return true;
  const Symptom* const symptom = find_symptom(*turn, promise->number);
  if (symptom == nullptr) return judgement.verdict == Verdict::kept;
  return is_broken() && contains(judgement.evidence, symptom->evidence);
}

Subject subject_of(const WrongTurn& turn) {
  Subject subject = stage_subject(4);
  subject.command.front() = WRONG_TURNS "/" + std::string(turn.name);
  return subject;
}

std::vector<Task> make_tasks(const std::vector<std::string>& names) {
  std::vector<Task> tasks;
  for (const WrongTurn& turn : wrong_turns()) {
    if (!names.empty() && std::ranges::count(names, turn.name) == 0) continue;
    for (const Promise& promise : promises())
      tasks.push_back({&turn, &promise});
  }
  return tasks;
}

void judge_all(std::vector<Task>& tasks) {
  std::mutex mutex;
  std::size_t done = 0;                               // guarded by mutex
  in_parallel(tasks.size(), 16, [&](std::size_t i) {  // most of them wait, some for ever
    tasks[i].judgement = judge(*tasks[i].promise, subject_of(*tasks[i].turn));
    const std::lock_guard lock(mutex);
    show_progress("judged", ++done, tasks.size());
  });
}

// A title may be the second half of a sentence that the row above it began.
std::string full_title(const Promise& promise) {
  const std::string title(promise.title);
  return title.starts_with("  ") ? "a stop:" + title.substr(1) : title;
}

// One fault: the most telling of what was seen, and what else it breaks.
void print(std::span<const Task> tasks) {
  const WrongTurn& turn = *tasks.front().turn;
  const int telling = turn.symptoms.front().promises.front();
  const Task& seen = tasks[static_cast<std::size_t>(telling) - 1];
  std::cout << '\n' << turn.name << ": " << turn.fault << '\n';
  std::cout << "  " << telling << ' ' << full_title(*seen.promise) << ": "
            << word(seen.judgement.verdict) << '\n'
            << "    " << seen.judgement.evidence << '\n';
  std::string others;
  for (const Task& task : tasks) {
    if (task.is_broken() && &task != &seen) others += ' ' + std::to_string(task.promise->number);
  }
  if (!others.empty()) std::cout << "  also broken:" << others << '\n';
}

bool print_surprises(const std::vector<Task>& tasks) {
  bool none = true;
  for (const Task& task : tasks) {
    if (task.is_as_known()) continue;
    none = false;
    const Symptom* const known = find_symptom(*task.turn, task.promise->number);
    std::cout << '\n'
              << task.turn->name << ", promise " << task.promise->number << ": "
              << word(task.judgement.verdict) << " (" << task.judgement.evidence
              << "), but should be "
              << (known == nullptr ? "kept" : "broken (" + std::string(known->evidence) + ")")
              << '\n';
  }
  return none;
}

std::string usage_text() {
  std::string text =
      "Usage: wrong_turns [NAME...]\n\nJudges all of them, or those that are named:\n";
  for (const WrongTurn& turn : wrong_turns())
    text.append("  ").append(turn.name).append("\n");
  return text;
}

int run(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (std::ranges::count(wrong_turns(), name, &WrongTurn::name) == 0)
      throw Usage("there is no '" + name + "'");
  }
  std::vector<Task> tasks = make_tasks(names);
  judge_all(tasks);
  const std::size_t each = promises().size();
  for (std::size_t i = 0; i < tasks.size(); i += each)
    print(std::span(tasks).subspan(i, each));
  std::cout << "\nThe numbers are those of the promises: build/tests/promises lists them.\n";
  const bool as_known = print_surprises(tasks);
  flush_stdout();
  return as_known ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("wrong_turns", usage_text(), [&] { return run({argv + 1, argv + argc}); });
}
