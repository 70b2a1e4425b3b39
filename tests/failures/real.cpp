#include "real.hpp"

#include "shared.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace failures {
namespace {

constexpr auto patience = 10s;  // to tell late from never

// A file that is gone with us.
class TemporaryFile {
 public:
  TemporaryFile() : name_(std::filesystem::temp_directory_path() / "failures.XXXXXX") {
    fd_ = FileDescriptor(::mkostemp(name_.data(), O_CLOEXEC));
    if (fd_.get() == -1)
      throw std::system_error(errno, std::generic_category(), "cannot make " + name_);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(name_.c_str()); }

  const std::string& name() const { return name_; }
  int fd() const { return fd_.get(); }

 private:
  std::string name_;
  FileDescriptor fd_;
};

// What the preloaded library is told, and what it has counted.
class SharedFile {
 public:
  explicit SharedFile(const Point* point) {
    if (::ftruncate(file_.fd(), sizeof(Shared)) == -1)
      throw std::system_error(errno, std::generic_category(), "cannot write " + file_.name());
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file_.fd(), 0);
    if (memory == MAP_FAILED)
      throw std::system_error(errno, std::generic_category(), "cannot map " + file_.name());
    shared_ = new (memory) Shared;
    if (point == nullptr) return;
    shared_->call =
        static_cast<int>(std::ranges::find(call_names, point->call) - call_names.begin());
    shared_->number = point->number;
    shared_->error = point->error;
    shared_->times = point->times;
  }
  SharedFile(const SharedFile&) = delete;
  ~SharedFile() { ::munmap(shared_, sizeof(Shared)); }

  const Shared* operator->() const { return shared_; }
  const Shared& operator*() const { return *shared_; }
  std::vector<std::string> environment() const {
    return {"env", std::string(shared_variable) + '=' + file_.name(),
            "LD_PRELOAD=" BUILD "/tests/failing.so"};
  }

 private:
  TemporaryFile file_;
  Shared* shared_;
};

std::vector<std::string> command(int stage) {
  Subject subject = stage_subject(stage);
  subject.workers = workers;
  return command_line(subject, {.grace = grace, .sleep = sleep_time});
}

// What one run has shown.
struct Talk {
  bool listened = false;
  bool refused = false;                                 // a client, before the stop
  int connected = 0;                                    // clients, also the one that resets
  std::vector<std::pair<std::string, Answer>> answers;  // by the client's kind
  bool open_in_drain = false;
  std::ptrdiff_t leaked = 0;
  std::optional<Exit> exit;
  std::chrono::milliseconds took{};  // from the stop
};

std::ptrdiff_t descriptors(pid_t pid) {
  std::error_code error;
  const auto all =
      std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error);
  return error ? 0 : std::distance(begin(all), end(all));
}

bool is_open(std::uint16_t port) {
  try {
    return Client::connect(port).has_value();
  } catch (const std::runtime_error&) {
    return false;  // connected, only to be reset: of the crowd before the close
  }
}

// A client each that is plain, slow, resets, has ended its side, and waits behind those for a
// worker; and perhaps a silent one. The stop comes while all are there.
void talk(Process& server, std::uint16_t port, bool with_silent, Talk& seen) {
  seen.refused = true;  // if it throws
  seen.connected = 2;
  seen.answers.emplace_back("first", ask(port, "/"));
  const auto idle = descriptors(server.pid());
  seen.answers.emplace_back("plain", ask(port, "/"));
  if (!eventually([&] { return descriptors(server.pid()) <= idle; }, 5s))
    seen.leaked = descriptors(server.pid()) - idle;
  const std::string slow_request = request("/");
  std::vector<std::pair<std::string, Client>> clients;
  clients.emplace_back("slow", Client(port, slow_request.substr(0, 9)));
  Client(port, request("/sleep")).reset();
  clients.emplace_back("half-closed", Client(port, request("/sleep")));
  clients.back().second.half_close();
  clients.emplace_back("sleeping", Client(port, request("/sleep")));
  if (with_silent) clients.emplace_back("silent", Client(port));
  seen.connected += static_cast<int>(clients.size()) + 1;
  pause_for(50ms);
  clients[0].second.send(slow_request.substr(9, 9));
  pause_for(50ms);
  const auto stop = Clock::now();
  seen.refused = false;
  server.send(with_silent ? SIGTERM : SIGINT);
  pause_for(20ms);
  clients[0].second.send(slow_request.substr(18));
  if (server.wait_for_out("Shutting down.")) seen.open_in_drain = is_open(port);
  for (auto& [kind, client] : clients) seen.answers.emplace_back(kind, client.read(patience));
  seen.exit = server.wait_for_exit(patience);
  seen.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - stop);
}

// The port of the first line; 0 if there is none.
std::uint16_t port_of(const std::string& out) {
  const std::string before = "Listening on http://127.0.0.1:";
  const std::size_t at = out.find(before);
  return at == out.npos ? std::uint16_t{0}
                        : static_cast<std::uint16_t>(std::atoi(out.c_str() + at + before.size()));
}

Talk play(Process& server, bool with_silent) {
  Talk seen;
  seen.listened = server.wait_for_out("Listening on");
  if (!seen.listened) {
    // It may be that the line could not be written, and it serves all the same.
    seen.exit = server.wait_for_exit(1s);
    if (!seen.exit) server.send(SIGTERM);
    if (!seen.exit) seen.exit = server.wait_for_exit(patience);
    return seen;
  }
  try {
    talk(server, port_of(server.out()), with_silent, seen);
  } catch (const std::runtime_error&) {  // the server has gone, or will
    server.send(SIGINT);
    seen.exit = server.wait_for_exit(patience);
  }
  return seen;
}

void judge_clients(Verdict& verdict, const Talk& seen, const Shared& shared, const Point& point) {
  std::string lost;
  int count = 0;
  for (const auto& [kind, answer] : seen.answers) {
    if (kind == "silent" ? answer.is_quiet_close() : answer.is_ok()) continue;
    lost = "the " + kind + " client: " + answer.text();
    ++count;
  }
  // Who was served where it failed is not known; in the main thread of a pool, nobody.
  verdict.lost_own = count == 1 && !shared.met_in_main && may_cost_own(point.call);
  if (count == 0 || verdict.lost_own) return;
  if (seen.exit && seen.exit->with(0)) verdict.broken[tells_truth] = "exit status 0, and " + lost;
  // Those that were still in the accept queue of a server that had to end are another matter.
  if (count > seen.connected - shared.accepted) verdict.broken[answers] = lost;
}

// A failure that passes, or of something that it can do without, while it serves.
void judge_going_on(Verdict& verdict, const Talk& seen, const Shared& shared, const Point& point) {
  const bool exit_0 = seen.exit && seen.exit->with(0);
  if (seen.refused && seen.answers.empty() && exit_0)
    verdict.broken[tells_truth] = "it says that it listens where it does not";
  else if (seen.refused && exit_0)
    verdict.broken[tells_truth] = "exit status 0, and a client was refused before the stop";
  if (!shared.met_serving || !(passes(point) || is_optional(point.call))) return;
  if (seen.refused) verdict.broken[goes_on] = "a client was refused before the stop";
  if (seen.exit && !exit_0) verdict.broken[goes_on] = seen.exit->text();
}

void judge_end(Verdict& verdict, const Talk& seen, const Process& server, const Point& point) {
  if (!seen.exit) {
    verdict.broken[ends_by_itself] = "it never ended";
  } else if (seen.exit->by_any_signal()) {
    verdict.broken[seen.exit->by_signal(SIGABRT) ? never_panics : ends_by_itself] =
        seen.exit->text();
  } else if (seen.exit->with(1)) {
    if (server.err().find("stage4: ") == std::string::npos &&
        server.err().find("Gave up: ") == std::string::npos && point.call != "write")
      verdict.broken[tells_truth] = "exit status 1, and no word of why";
  } else if (!seen.exit->with(0)) {
    verdict.broken[tells_truth] = seen.exit->text();
  }
  if (seen.took > grace + 2s)  // a second more, on a busy machine
    verdict.broken[keeps_grace] =
        "it ended " + std::to_string(seen.took.count()) + " ms after the stop";
  if (seen.leaked > 0)
    verdict.broken[leaks_nothing] = std::to_string(seen.leaked) + " more than before a client came";
  if (seen.open_in_drain)
    verdict.broken[closes_first] = "a client was connected after \"Shutting down.\"";
}

bool has_silent(const Point& point) { return point.script == "silent"; }

}  // namespace

std::vector<Point> real_points(int stage) {
  std::vector<Point> all;
  for (const std::string script : {"busy", "silent"}) {
    const SharedFile shared(nullptr);
    std::vector<std::string> words = shared.environment();
    std::ranges::copy(command(stage), std::back_inserter(words));
    Process server(words);
    const Talk seen = play(server, script == "silent");
    if (!shared->loaded) throw std::runtime_error("tests/failing.so was not preloaded");
    if (!seen.listened || (stage == 4 && !(seen.exit && seen.exit->with(0))))
      throw std::runtime_error(
          "stage " + std::to_string(stage) +
          " does not do what it should although nothing fails: " + server.err());
    for (std::size_t i = 0; i < call_names.size(); ++i) {
      const int error = find_call(call_names[i])->usual;
      for (int number = 1; number <= shared->made[i]; ++number)
        all.push_back({script, "real", call_names[i], number, error});
      if (const std::string_view call = call_names[i]; call == "accept4")
        all.push_back({script, "real", "accept4", 2, error, lasting});
    }
  }
  return all;
}

Verdict try_real(int stage, const Point& point) {
  if (point.script != "busy" && !has_silent(point))
    throw Usage("there is no script '" + point.script + "' in the real kernel");
  const SharedFile shared(&point);
  std::vector<std::string> words = shared.environment();
  std::ranges::copy(command(stage), std::back_inserter(words));
  Process server(words);
  const Talk seen = play(server, has_silent(point));
  Verdict verdict;
  verdict.runs = 1;
  verdict.met = shared->met;
  if (!shared->loaded) throw std::runtime_error("tests/failing.so was not preloaded");
  judge_end(verdict, seen, server, point);
  judge_going_on(verdict, seen, *shared, point);
  judge_clients(verdict, seen, *shared, point);
  return verdict;
}

std::set<std::string> traced(int stage) {
  const TemporaryFile file;
  std::vector<std::string> words{"strace", "-f", "-DD", "-o", file.name()};
  std::ranges::copy(command(stage), std::back_inserter(words));
  Process server(words);
  if (!play(server, true).listened) throw std::runtime_error("strace: " + server.err());
  std::set<std::string> calls;
  // "1234  accept4(3, ..."; but also "1234  <... accept4 resumed>" and "1234  +++ exited with 0
  // +++"
  const auto read = [&] {
    std::ifstream lines(file.name());
    std::string what;
    for (pid_t pid = 0; lines >> pid >> what; std::getline(lines, what)) {
      if (what == "+++" && pid == server.pid()) return true;
      if (const std::size_t end = what.find('('); end != what.npos && end > 0)
        calls.insert(what.substr(0, end));
    }
    return false;
  };
  if (!eventually(read)) throw std::runtime_error("strace has not seen the end of the server");
  return calls;
}

}  // namespace failures
