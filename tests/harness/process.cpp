#include "process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

[[noreturn]] void fail(const std::string& doing, int error = errno) {
  throw std::system_error(error, std::generic_category(), doing);
}

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) fail("cannot create a pipe");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

rlim_t soft_descriptors = 0;  // what they were before raise_descriptor_limit(); 0: as they are

void limit(decltype(RLIMIT_CORE) what, rlim_t value) {
  const rlimit limits{value, value};
  ::setrlimit(what, &limits);
}

std::chrono::microseconds duration(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

// Between fork and exec: only calls that are safe there. Returns if exec fails.
void become(char* const* argv, const Launch& launch, pid_t parent, int out, int err) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // So that why_it_runs() can tell, where a debugger may look only at what it has started (Yama, on
  // every Ubuntu).
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  // If we were killed before that, nobody will kill it. (In a namespace of its own it sees no
  // parent.)
  if (launch.namespaces == 0 && ::getppid() != parent) ::_exit(127);
  for (int signal = 1; signal < NSIG; ++signal) {
    // Handlers go with exec; this is for what is ignored, which abort() does not heed. And for
    // SIGABRT glibc 2.41 takes a lock, which a child of clone() may have inherited locked.
    if (signal != SIGABRT) ::signal(signal, SIG_DFL);
  }
  sigset_t blocked;
  launch.signals_blocked ? ::sigfillset(&blocked) : ::sigemptyset(&blocked);
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  // Who started us may have a terminal, which its reads would stop it for.
  if (const int nothing = ::open("/dev/null", O_RDONLY); nothing != -1)
    ::dup2(nothing, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);  // what we have inherited ourselves
  if (launch.out_closed) ::close(STDOUT_FILENO);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 64 << 20);
  if (launch.max_memory != 0) limit(RLIMIT_AS, launch.max_memory);
  if (launch.max_descriptors != 0) {
    limit(RLIMIT_NOFILE, launch.max_descriptors);
  } else if (rlimit descriptors{}; soft_descriptors != 0) {
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = soft_descriptors;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  ::execvp(argv[0], argv);
}

}  // namespace

int poll_until(std::span<pollfd> what, Clock::time_point deadline) {
  while (true) {
    const auto end = std::min(deadline, time_limit.load());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    const auto wait = std::clamp<std::chrono::milliseconds>(left, 0ms, 1h);  // as poll() can
    const int ready = ::poll(what.data(), what.size(), static_cast<int>(wait.count()));
    if (Clock::now() > time_limit.load()) throw OutOfTime();
    if (ready > 0) return ready;
    if (ready == -1 && errno != EINTR) fail("cannot poll");
    if (ready == 0 && wait >= left && end == deadline) return 0;
  }
}

void raise_descriptor_limit() {
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) == -1) fail("cannot ask for the descriptors' limit");
  soft_descriptors = std::exchange(descriptors.rlim_cur, descriptors.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) == -1) fail("cannot have more descriptors");
}

// Both streams of a process, by two pipes that a thread of ours empties, so that nothing it writes
// is waited for. Of each the beginning is kept; who writes without end costs no more than that.
class Output {
 public:
  enum Stream { out, err };

  Output() {
    for (auto& stream : streams_) {
      Pipe pipe = make_pipe();
      if (::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) == -1) fail("cannot set up a pipe");
      stream.read_end = std::move(pipe.read_end);
      stream.write_end = std::move(pipe.write_end);
    }
    end_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
    if (end_.get() == -1) fail("cannot make an eventfd");
  }

  ~Output() {
    const std::uint64_t one = 1;
    if (reader_.joinable() && ::write(end_.get(), &one, sizeof one) == sizeof one) reader_.join();
  }

  int write_end(Stream stream) const { return streams_[stream].write_end.get(); }

  // After the fork: the write ends are the process's alone, so that we see them end.
  void start() {
    for (auto& stream : streams_) stream.write_end = FileDescriptor();
    reader_ = std::thread([this] { read_along(); });
  }

  // With all that is there by now.
  std::string text(Stream stream) {
    const Turn turn(busy_);
    take(streams_[stream]);
    return streams_[stream].text;
  }

 private:
  static constexpr std::size_t most = 1 << 20;

  struct Kept {
    FileDescriptor read_end;
    FileDescriptor write_end;
    std::string text;  // guarded by busy_
  };

  // No mutex: the program that makes each call fail has mutexes of explore's, which hold nobody up
  // outside of what it explores.
  class Turn {
   public:
    explicit Turn(std::atomic_flag& busy) : busy_(busy) {
      while (busy_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
    }
    Turn(const Turn&) = delete;
    ~Turn() { busy_.clear(std::memory_order_release); }

   private:
    std::atomic_flag& busy_;
  };

  // False at the end. busy_ is held. At once no more than a pipe holds: its writer may be faster.
  static bool take(Kept& stream) {
    static thread_local std::array<char, 65536> part;
    const ssize_t size = ::read(stream.read_end.get(), part.data(), part.size());
    if (size > 0)
      stream.text.append(part.data(),
                         std::min(static_cast<std::size_t>(size), most - stream.text.size()));
    return size > 0 || (size == -1 && (errno == EAGAIN || errno == EINTR));
  }

  void read_along() {
    std::array<pollfd, 3> waits{{{end_.get(), POLLIN, 0},
                                 {streams_[out].read_end.get(), POLLIN, 0},
                                 {streams_[err].read_end.get(), POLLIN, 0}}};
    while (::poll(waits.data(), waits.size(), -1) != -1 || errno == EINTR) {
      if (waits[0].revents != 0) return;
      bool flood = false;
      for (const Stream stream : {out, err}) {
        const Turn turn(busy_);
        pollfd& wait = waits[static_cast<std::size_t>(stream) + 1];
        if (wait.revents != 0 && !take(streams_[stream])) wait.fd = -1;
        flood = flood || streams_[stream].text.size() == most;
      }
      if (flood)
        std::this_thread::sleep_for(2ms);  // what nobody keeps need not be read at full speed
    }
  }

  std::atomic_flag busy_;
  std::array<Kept, 2> streams_;
  FileDescriptor end_;
  std::thread reader_;
};

bool Exit::with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
bool Exit::by_any_signal() const { return WIFSIGNALED(status); }
bool Exit::by_signal(int sig) const { return WIFSIGNALED(status) && WTERMSIG(status) == sig; }

std::string Exit::text() const {
  if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
  const char* const name = ::sigabbrev_np(WTERMSIG(status));
  return std::string("ended by SIG") + (name == nullptr ? "?" : name);
}

Process::Process() : output_(std::make_unique<Output>()) {}

// From the first line on the destructor has to clean up, also when something throws.
Process::Process(const std::vector<std::string>& command, const Launch& launch) : Process() {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  Pipe failure = make_pipe();
  const int out = launch.out == -1 ? output_->write_end(Output::out) : launch.out;
  const int err = output_->write_end(Output::err);

  const pid_t parent = ::getpid();
  // The system call does what fork() does, and takes namespaces.
  pid_ = launch.namespaces == 0
             ? ::fork()
             : static_cast<pid_t>(::syscall(SYS_clone, launch.namespaces | SIGCHLD, 0, 0, 0, 0));
  if (pid_ == -1) fail("cannot fork");
  if (pid_ == 0) {
    become(argv.data(), launch, parent, out, err);
    const int error = errno;
    const ssize_t ignored = ::write(failure.write_end.get(), &error, sizeof error);
    ::_exit(ignored == 0 ? 126 : 127);
  }
  failure.write_end = FileDescriptor();
  output_->start();
  pidfd_ = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (pidfd_.get() == -1) fail("cannot watch a process");
  int error = 0;
  if (::read(failure.read_end.get(), &error, sizeof error) == sizeof error) {
    wait_for_exit(10s);
    fail("cannot run " + command.front(), error);
  }
}

Process::~Process() {
  if (pid_ == -1 || exit_) return;
  ::kill(pid_, SIGKILL);
  reap();
}

void Process::send(int signal) const {
  if (!exit_) ::kill(pid_, signal);
}

std::optional<Exit> Process::wait_for_exit(std::chrono::milliseconds limit) {
  pollfd ended{pidfd_.get(), POLLIN, 0};
  if (!exit_ && poll_until({&ended, 1}, Clock::now() + std::max(limit, 1ms)) == 1) reap();
  return exit_;
}

void Process::reap() {
  siginfo_t ended{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT) == -1 &&
         errno == EINTR) {
  }
  ::kill(-pid_, SIGKILL);  // its children; until it is reaped, its number is nobody else's
  exit_.emplace();
  rusage used{};
  while (::wait4(pid_, &exit_->status, 0, &used) == -1 && errno == EINTR) {
  }
  exit_->user = duration(used.ru_utime);
  exit_->system = duration(used.ru_stime);
}

Exit Process::exit_within(std::chrono::milliseconds limit) {
  if (const std::optional<Exit> exit = wait_for_exit(limit)) return *exit;
  throw std::runtime_error("still running after " + std::to_string(limit.count()) + " ms" +
                           why_it_runs(pid_, 2));
}

std::string Process::out() const { return output_->text(Output::out); }
std::string Process::err() const { return output_->text(Output::err); }

bool Process::wait_for_out(const std::string& text, std::size_t count) {
  const auto seen = [&] {
    const std::string all = out();
    std::size_t lines = 0;
    for (std::size_t at = all.find(text);
         at != std::string::npos && all.find('\n', at) != std::string::npos;
         at = all.find(text, at + text.size())) {
      ++lines;
    }
    return lines >= count;
  };
  return eventually([&] { return seen() || !is_running(); }) && seen();
}

std::string why_it_runs(pid_t pid, std::size_t indent) {
  if (why_was_told->exchange(true)) return "";
  try {
    Process why({"python3", SOURCE "/tests/bench/why.py", "--brief", std::to_string(pid)});
    const std::optional<Exit> exit = why.wait_for_exit(10s);
    if (!exit || !exit->with(0)) return "";
    std::string text;
    std::istringstream lines(why.out());
    for (std::string line; std::getline(lines, line);)
      text += '\n' + std::string(indent, ' ') + line;
    return text;
  } catch (const std::runtime_error&) {
    return "";  // there is no python3, or no time
  }
}

void pause_for(std::chrono::milliseconds time) { poll_until({}, Clock::now() + time); }
