#include "stop_signal.hpp"

#include "common/descriptor.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include <unistd.h>

using namespace std::chrono_literals;

namespace {

// The self-pipe trick: poll(2) can wait for a file descriptor, but not for a variable. The stop
// closes the write end, so the read end is readable, for every thread that polls, until the process
// ends. A byte would do as well, but the kernel needs memory to write it, and may have none.
std::array<int, 2> stop_pipe{-1, -1};
std::atomic_flag pipe_closed;

// A point in time that a signal handler can store: it must not lock.
using Moment = std::atomic<Clock::rep>;
static_assert(Moment::is_always_lock_free);
constexpr Clock::rep never = 0;
Moment tripped_at = never;
Moment interrupted_at = never;  // by the first SIGINT

// npm, `timeout -s INT` and others deliver one Ctrl-C twice. A person is slower than this.
constexpr Clock::duration one_key_press = 300ms;

// Stores `now` unless a time is stored already. Returns the time that is stored.
Clock::rep set_once(Moment& moment, Clock::rep now) noexcept {
  Clock::rep earlier = never;
  return moment.compare_exchange_strong(earlier, now) ? now : earlier;
}

void trip_at(Clock::rep now) noexcept {
  set_once(tripped_at, now);
  if (!pipe_closed.test_and_set()) ::close(stop_pipe[1]);
}

Clock::rep now() noexcept { return Clock::now().time_since_epoch().count(); }

// Reads the clock, exchanges atomics and closes a descriptor, which POSIX lets a handler do. (The
// C++ standard allows neither Clock::now() nor errno. On these systems the first is
// clock_gettime(2), and the second is thread-local.)
extern "C" void on_signal(int signal) {
  const int interrupted_errno = errno;
  const Clock::rep at = now();
  if (signal == SIGINT && at - set_once(interrupted_at, at) > one_key_press.count()) {
    ::_exit(128 + SIGINT);
  }
  trip_at(at);
  errno = interrupted_errno;
}

}  // namespace

void stop_signal::install() {
  if (::pipe(stop_pipe.data()) == -1) throw_errno({"cannot create a pipe"});
  for (const int fd : stop_pipe) set_nonblocking_and_cloexec(fd);

  struct sigaction action{};
  action.sa_handler = on_signal;
  sigset_t handled;
  sigemptyset(&action.sa_mask);  // macros on macOS, so without ::
  sigemptyset(&handled);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction inherited{};
    if (::sigaction(signal, nullptr, &inherited) == -1) throw_errno({"cannot look at a signal"});
    if (signal == SIGHUP && inherited.sa_handler == SIG_IGN) continue;
    if (::sigaction(signal, &action, nullptr) == -1) throw_errno({"cannot install a handler"});
    sigaddset(&handled, signal);
  }
  // A blocked signal is inherited like an ignored one, and would never be delivered.
  errno = ::pthread_sigmask(SIG_UNBLOCK, &handled, nullptr);
  if (errno != 0) throw_errno({"cannot unblock the signals"});
}

void stop_signal::trip() noexcept { trip_at(now()); }

std::optional<Clock::time_point> stop_signal::time() noexcept {
  const Clock::rep at = tripped_at;
  if (at == never) return std::nullopt;
  return Clock::time_point(Clock::duration(at));
}

int stop_signal::fd() noexcept { return stop_pipe[0]; }
