#include "process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
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

// Not a pipe: nobody has to read along lest the process block, and it can be read again and again.
FileDescriptor make_buffer() {
  FileDescriptor buffer(::memfd_create("output", MFD_CLOEXEC));
  // Appending: whatever descriptor it is written through, nothing is overwritten.
  if (buffer.get() == -1 || ::fcntl(buffer.get(), F_SETFL, O_APPEND) == -1)
    fail("cannot make a buffer");
  return buffer;
}

std::string read_all(const FileDescriptor& buffer) {
  std::string text;
  std::array<char, 65536> part;
  while (true) {
    const ssize_t count =
        ::pread(buffer.get(), part.data(), part.size(), static_cast<off_t>(text.size()));
    if (count <= 0) return text;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
}

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
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);  // what we have inherited ourselves
  if (launch.out_closed) ::close(STDOUT_FILENO);
  limit(RLIMIT_CORE, 0);
  if (launch.max_memory != 0) limit(RLIMIT_AS, launch.max_memory);
  if (launch.max_descriptors != 0) limit(RLIMIT_NOFILE, launch.max_descriptors);
  ::execvp(argv[0], argv);
}

}  // namespace

bool Exit::with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
bool Exit::by_any_signal() const { return WIFSIGNALED(status); }
bool Exit::by_signal(int sig) const { return WIFSIGNALED(status) && WTERMSIG(status) == sig; }

std::string Exit::text() const {
  if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
  const char* const name = ::sigabbrev_np(WTERMSIG(status));
  return std::string("ended by SIG") + (name == nullptr ? "?" : name);
}

Process::Process(const std::vector<std::string>& command, const Launch& launch)
    : out_(make_buffer()), err_(make_buffer()) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::array<int, 2> failure{};
  if (::pipe2(failure.data(), O_CLOEXEC) == -1) fail("cannot make a pipe");
  const FileDescriptor failure_out(failure[0]);
  FileDescriptor failure_in(failure[1]);

  const pid_t parent = ::getpid();
  // The system call does what fork() does, and takes namespaces.
  pid_ = launch.namespaces == 0
             ? ::fork()
             : static_cast<pid_t>(::syscall(SYS_clone, launch.namespaces | SIGCHLD, 0, 0, 0, 0));
  if (pid_ == -1) fail("cannot fork");
  if (pid_ == 0) {
    become(argv.data(), launch, parent, launch.out == -1 ? out_.get() : launch.out, err_.get());
    const int error = errno;
    const ssize_t ignored = ::write(failure_in.get(), &error, sizeof error);
    ::_exit(ignored == 0 ? 126 : 127);
  }
  failure_in = FileDescriptor();
  pidfd_ = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  int error = 0;
  if (::read(failure_out.get(), &error, sizeof error) == sizeof error) {
    wait_for_exit(10s);
    fail("cannot run " + command.front(), error);
  }
}

Process::~Process() {
  if (!exit_) ::kill(pid_, SIGKILL);
  wait_for_exit(10s);
}

void Process::send(int signal) const {
  if (!exit_) ::kill(pid_, signal);
}

std::optional<Exit> Process::wait_for_exit(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + std::max(limit, 1ms);
  if (!exit_ && wait_readable(pidfd_.get(), deadline)) {
    ::kill(-pid_, SIGKILL);  // its children; until it is reaped, its number is nobody else's
    exit_.emplace();
    rusage used{};
    while (::wait4(pid_, &exit_->status, 0, &used) == -1 && errno == EINTR) {
    }
    exit_->user = duration(used.ru_utime);
    exit_->system = duration(used.ru_stime);
  }
  return exit_;
}

Exit Process::exit_within(std::chrono::milliseconds limit) {
  if (const std::optional<Exit> exit = wait_for_exit(limit)) return *exit;
  throw std::runtime_error("still running after " + std::to_string(limit.count()) + " ms" +
                           why_it_runs(pid_, 2));
}

std::string Process::out() const { return read_all(out_); }
std::string Process::err() const { return read_all(err_); }

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
  static std::atomic<bool> told = false;
  if (told.exchange(true)) return "";
  try {
    Process why({"python3", SOURCE "/tests/bench/why.py", "--brief", std::to_string(pid)});
    const std::optional<Exit> exit = why.wait_for_exit(10s);
    if (!exit || !exit->with(0)) return "";
    std::string text;
    std::istringstream lines(why.out());
    for (std::string line; std::getline(lines, line);)
      text += '\n' + std::string(indent, ' ') + line;
    return text;
  } catch (const std::system_error&) {
    return "";  // there is no python3
  }
}

void pause_for(std::chrono::milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}
