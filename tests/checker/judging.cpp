#include "judging.hpp"

#include "tests/harness/client.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <new>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

[[noreturn]] void fail(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), doing);
}

// With it, all that it has started.
std::vector<pid_t> descendants(pid_t of) {
  std::vector<pid_t> all = family(of);
  all.erase(all.begin());
  return all;
}

// Reaps whoever has ended. True if there is no child left: since orphans become ours, that is all
// that this process has started, and what that has started in turn.
bool none_left() {
  pid_t reaped = 0;
  while ((reaped = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
  }
  return reaped == -1 && errno == ECHILD;
}

// Ends them all: how many there were, but for those that were about to end. Whoever makes new ones
// all the time is stopped first.
std::size_t end_descendants() {
  if (eventually(none_left, 300ms)) return 0;
  const std::vector<pid_t> left = descendants(::getpid());
  const auto ended = [&] {
    for (const int signal : {SIGSTOP, SIGKILL}) {
      for (const pid_t pid : descendants(::getpid())) ::kill(pid, signal);
    }
    return none_left();
  };
  eventually(ended);
  return left.size();
}

// What a worker tells the one who has started it, but for the evidence and the line to see it by
// hand, which follow, with a 0 between them.
struct Report {
  Verdict verdict = Verdict::not_judged;
  Trouble trouble = Trouble::ours;
  bool was_silent = false;  // somebody waited in vain, and nobody got a byte
  bool was_heard = false;   // somebody did
  bool keeps_open = false;
  std::uint16_t port = 0;
  std::size_t left_behind = 0;
};

struct Worker {
  pid_t pid = -1;
  FileDescriptor pipe;
  std::string told;
  Task* task = nullptr;
  bool is_short = false;      // has the time of a server that has answered nobody
  bool had_too_many = false;  // processes: it was killed for that
  bool was_late = false;      // beyond the time for all: killed for that
};

// In the worker that looks at the server first: the port on which that listens.
std::uint16_t looked_at = 0;

// In the worker: never returns, and throws nothing to what is its parent's.
[[noreturn]] void work(const std::function<Judgement()>& judge, Clock::time_point limit, int pipe,
                       pid_t parent) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it was killed before that
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  time_limit = limit;
  met.answers = met.silence = met.open_connections = false;
  const Judgement judgement = judge();
  time_limit = Clock::time_point::max();
  const Report report{.verdict = judgement.verdict,
                      .trouble = judgement.trouble,
                      .was_silent = met.silence && !met.answers,
                      .was_heard = met.answers,
                      .keeps_open = met.open_connections,
                      .port = looked_at,
                      .left_behind = end_descendants()};
  std::string told(reinterpret_cast<const char*>(&report), sizeof report);
  told += judgement.evidence + '\0' + judgement.by_hand;
  for (std::string_view left = told; !left.empty();) {
    const ssize_t size = ::write(pipe, left.data(), left.size());
    if (size <= 0) break;
    left.remove_prefix(static_cast<std::size_t>(size));
  }
  ::_exit(0);
}

Worker start_worker(const std::function<Judgement()>& judge, Clock::time_point limit) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) fail("cannot create a pipe");
  Worker worker;
  worker.pipe = FileDescriptor(ends[0]);
  const FileDescriptor write_end(ends[1]);
  const pid_t parent = ::getpid();
  worker.pid = ::fork();
  if (worker.pid == -1) fail("cannot fork");
  if (worker.pid == 0) work(judge, limit, write_end.get(), parent);
  return worker;
}

// Reads what there is. True at the end.
bool listen_to(Worker& worker) {
  std::array<char, 4096> part{};
  const ssize_t size = ::read(worker.pipe.get(), part.data(), part.size());
  if (size > 0) worker.told.append(part.data(), static_cast<std::size_t>(size));
  return size == 0 || (size == -1 && errno != EINTR);
}

// The report, and with what follows it a judgement; one of its own if the worker was killed.
std::pair<Report, Judgement> take_report(Worker& worker) {
  int status = 0;
  while (::waitpid(worker.pid, &status, 0) == -1 && errno == EINTR) {
  }
  Report report;
  if (worker.told.size() < sizeof report)
    return {report, {Verdict::not_judged, "its judge was killed", Trouble::ours}};
  std::memcpy(&report, worker.told.data(), sizeof report);
  const std::string_view rest = std::string_view(worker.told).substr(sizeof report);
  const std::size_t end = rest.rfind('\0');  // what a server has said may have one
  return {report,
          {report.verdict, std::string(rest.substr(0, end)), report.trouble,
           std::string(rest.substr(end + 1))}};
}

// Stopped first, until there are no new ones: who is stopped starts nobody.
void end_family(pid_t pid) {
  std::vector<pid_t> members;
  for (std::size_t before = 0; before != (members = family(pid)).size() || before == 0;) {
    before = members.size();
    for (const pid_t member : members) ::kill(member, SIGSTOP);
  }
  for (const pid_t member : members) ::kill(member, SIGKILL);
}

// Ctrl-C, and its kin, as something to poll.
FileDescriptor catch_interrupts() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) == -1) fail("cannot block signals");
  FileDescriptor caught(::signalfd(-1, &signals, SFD_CLOEXEC));
  if (caught.get() == -1) fail("cannot wait for signals");
  return caught;
}

const FileDescriptor& interrupts() {
  static const FileDescriptor caught = catch_interrupts();
  return caught;
}

constexpr std::size_t most_processes = 1000;

std::string made_too_many() {
  return " has made more than " + std::to_string(most_processes) + " processes";
}

std::string seconds(std::chrono::seconds time) { return std::to_string(time.count()) + " s"; }

// Judges, a few at a time.
class Bench {
 public:
  Bench(std::span<Task> tasks, std::size_t at_once, const Limits& limits,
        const std::function<void(const Task&)>& made)
      : tasks_(tasks), at_once_(at_once), limits_(limits), made_(made) {}

  Course run() {
    while (true) {
      start_some();
      if (workers_.empty()) break;
      wait();
      if (course_.interrupted) break;
      look_at_processes();
    }
    for (const Worker& worker : workers_) ::kill(worker.pid, SIGKILL);
    const std::size_t left = end_descendants();
    if (workers_.empty()) course_.left_behind += left;  // else it was we who made them orphans
    course_.took = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - start_);
    return course_;
  }

 private:
  static constexpr std::size_t enough_silence = 2;

  bool is_silent() const { return silent_ >= enough_silence && !met.answers; }

  // A server that has answered nobody so far is not given the full time again and again.
  std::chrono::seconds promise_limit() const { return is_silent() ? 1s : limits_.promise; }

  void start_some() {
    const auto end = start_ + limits_.all;
    for (; next_ < tasks_.size() && workers_.size() < at_once_; ++next_) {
      Task& task = tasks_[next_];
      if (Clock::now() >= end) {
        finish(task, {Verdict::not_judged, all_time_is_over(), Trouble::time});
        continue;
      }
      try {
        workers_.push_back(
            start_worker([&] { return judge(*task.promise, task.subject, task.seed); },
                         std::min(Clock::now() + promise_limit(), end)));
        workers_.back().task = &task;
        workers_.back().is_short = is_silent();
      } catch (const std::system_error& error) {
        finish(task, {Verdict::not_judged, error.what(), Trouble::ours});
      }
    }
  }

  std::string all_time_is_over() const {
    return "the " + seconds(limits_.all) + " for all were over";
  }

  void wait() {
    std::vector<pollfd> waits{{interrupts().get(), POLLIN, 0}};
    for (const Worker& worker : workers_) waits.push_back({worker.pipe.get(), POLLIN, 0});
    poll_until(waits, Clock::now() + 500ms);
    course_.interrupted = waits[0].revents != 0;
    for (std::size_t i = workers_.size(); i-- > 0;) {
      if (waits[i + 1].revents == 0 || !listen_to(workers_[i])) continue;
      end(workers_[i]);
      workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  void end(Worker& worker) {
    auto [report, judgement] = take_report(worker);
    course_.left_behind += report.left_behind + end_orphans();
    if (report.was_silent) ++silent_;
    met.answers = met.answers || report.was_heard;
    if (worker.was_late && judgement.trouble == Trouble::ours) judgement.trouble = Trouble::time;
    if (worker.had_too_many) judgement = {Verdict::broken, "the server" + made_too_many()};
    if (judgement.trouble == Trouble::time && worker.is_short) {
      judgement.verdict = Verdict::broken;
      judgement.trouble = Trouble::none;
      judgement.evidence =
          "no answer within 1 s, which is what is left to a server that has answered nobody yet";
    }
    if (judgement.trouble == Trouble::time) {
      const bool all_over = Clock::now() >= start_ + limits_.all;
      judgement.evidence =
          all_over ? all_time_is_over() : "the " + seconds(limits_.promise) + " for it were over";
    }
    finish(*worker.task, std::move(judgement));
  }

  // Children of ours that are no workers have lost a worker that was killed: they may hold the port
  // that the next server is to have. Returns how many there were, but for those about to end.
  std::size_t end_orphans() const {
    const auto orphans = [&] {
      std::vector<pid_t> all = children(::getpid());
      std::erase_if(
          all, [&](pid_t pid) { return std::ranges::count(workers_, pid, &Worker::pid) != 0; });
      return all;
    };
    if (eventually([&] { return orphans().empty(); }, 300ms)) return 0;
    const std::size_t count = orphans().size();
    eventually([&] {
      std::ranges::for_each(orphans(), end_family);
      return orphans().empty();
    });
    return count;
  }

  void finish(Task& task, Judgement judgement) {
    task.judgement = std::move(judgement);
    made_(task);
  }

  // Twice a second, of each worker. The limit that the kernel has counts all that the user runs.
  void look_at_processes() {
    if (Clock::now() < looked_ + 500ms) return;
    looked_ = Clock::now();
    const bool all_over = Clock::now() > start_ + limits_.all + 3s;
    for (Worker& worker : workers_) {
      const bool too_many = family(worker.pid).size() > most_processes;
      worker.had_too_many = worker.had_too_many || too_many;
      worker.was_late = worker.was_late || all_over;
      if (too_many || all_over) end_family(worker.pid);
    }
  }

  std::span<Task> tasks_;
  std::size_t at_once_;
  Limits limits_;
  const std::function<void(const Task&)>& made_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point looked_ = start_;
  std::size_t next_ = 0;
  std::vector<Worker> workers_;
  std::size_t silent_ = 0;  // promises in which nobody got a byte
  Course course_;
};

// A server that has left its parent: what it would say of itself with its exit status, nobody
// hears.
std::string daemons() {
  std::string found;
  for (const pid_t pid : descendants(::getpid())) {
    for (const Listener& listener : listeners(pid))
      found += "\nits process " + process_name(pid) +
               " has gone into the background and listens on " + listener.address +
               "; to be judged, it has to stay in the foreground";
  }
  return found;
}

// What look_at() finds, in the worker.
Judgement first_look(const Subject& subject) {
  std::string lines;
  const auto say = [&](const std::string& line) { lines += line + '\n'; };
  try {
    const auto sleep = subject.knows("{sleep}") ? 300ms : subject.sleep;
    Server server(subject, {.sleep = sleep});
    looked_at = server.port();
    if (server.ports().size() > 1) {
      std::string all;
      for (const std::uint16_t port : server.ports()) all += ' ' + std::to_string(port);
      say("It listens on more than one port:" + all + ". The first is judged.");
    }
    const Answer page = Client(server.port(), request("/")).read(5s);
    if (!page.is_whole())
      say("It does not speak HTTP as the contract has it: GET / gets " + page.text() + '.');
    else if (!page.is_ok() || page.body().find(subject.hello) == std::string::npos)
      say("GET / gets " + page.text() + ", and it should get a 200 that says " + subject.hello);
    if (page.is_kept_open())
      say("It keeps the connection open after a whole answer, although each request says "
          "Connection: close. It is judged all the same.");
    if (page.bytes.empty()) return {Verdict::kept, lines};
    const auto start = Clock::now();
    const Answer slow = Client(server.port(), request("/sleep")).read(sleep + 5s);
    const auto took = std::chrono::floor<std::chrono::milliseconds>(slow.at - start);
    if (!slow.is_whole())
      say("GET /sleep gets " + slow.text() + '.');
    else if (took < sleep * 4 / 5)
      say("GET /sleep takes " + std::to_string(took.count()) + " ms, and it should take " +
          std::to_string(sleep.count()) + '.');
    const auto moment = server.listens_by_another() ? 500ms : 0ms;  // to leave its child alone
    if (const std::optional<Exit> exit = server.wait_for_exit(moment); exit && !slow.bytes.empty())
      throw std::runtime_error("the command has ended (" + exit->text() +
                               ") while the server goes on" + daemons());
    return {Verdict::kept, lines};
  } catch (const std::exception& error) {
    return {Verdict::broken, error.what()};
  }
}

}  // namespace

Verdict Task::expected() const {
  return stage == 0 ? Verdict::kept : promise->expected[static_cast<std::size_t>(stage) - 1];
}

// Only process 1 cannot be had everywhere; a server that cannot be told a value is judged by the
// rest.
bool Task::is_as_expected() const {
  if (!judgement || judgement->trouble != Trouble::none) return false;
  const bool excused = stage == 0 || promise->number == 15;
  return judgement->verdict == expected() || (judgement->verdict == Verdict::not_judged && excused);
}

void prepare_to_judge() {
  if (!std::filesystem::exists("/proc/self/stat"))
    throw std::runtime_error("there is no /proc here, and so no way to see what a server does");
  // What a parent may have left: with SIGCHLD ignored, nobody would hear how a server has ended.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) == -1) fail("cannot unblock signals");
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) == -1) fail("cannot adopt processes");
  interrupts();
  raise_descriptor_limit();
  void* const shared = ::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail("cannot share memory");
  why_was_told = new (shared) std::atomic<bool>(false);
}

std::optional<Look> look_at(const Subject& subject) {
  Worker worker = start_worker(
      [&] {
        Judgement judgement = first_look(subject);
        if (judgement.verdict == Verdict::broken) judgement.evidence += daemons();
        return judgement;
      },
      Clock::now() + 20s);
  std::array<pollfd, 2> waits{{{interrupts().get(), POLLIN, 0}, {worker.pipe.get(), POLLIN, 0}}};
  while (true) {
    poll_until(waits, Clock::now() + 500ms);
    const bool too_many = family(worker.pid).size() > most_processes;
    if (waits[0].revents != 0 || too_many) {
      end_family(worker.pid);
      end_descendants();
      if (too_many) throw std::runtime_error("the server" + made_too_many());
      return std::nullopt;
    }
    if (waits[1].revents != 0 && listen_to(worker)) break;
  }
  const auto [report, found] = take_report(worker);
  if (report.verdict != Verdict::kept) throw std::runtime_error(found.evidence);
  if (report.keeps_open) closes_after_answer = false;
  met.answers = report.was_heard;
  Look look{.port = report.port, .left_behind = report.left_behind};
  std::istringstream text(found.evidence);
  for (std::string line; std::getline(text, line);) look.lines.push_back(line);
  return look;
}

Course judge_all(std::span<Task> tasks, std::size_t at_once, const Limits& limits,
                 const std::function<void(const Task&)>& made) {
  return Bench(tasks, at_once, limits, made).run();
}
