#include "grace_period.hpp"

#include "common/log.hpp"
#include "common/thread.hpp"
#include "stop_signal.hpp"

#include <algorithm>
#include <csignal>

#include <unistd.h>

using namespace std::chrono_literals;

namespace {

Clock::time_point after_stop(std::chrono::milliseconds time) noexcept {
  const auto stop = stop_signal::time();
  return stop ? *stop + time : Clock::time_point::max();
}

[[noreturn]] void give_up(int running, int waiting) noexcept {
  // Should warn_line() block after all, SIGALRM ends the process; also as process 1, or if SIGALRM
  // was blocked.
  sigset_t alarm;
  sigemptyset(&alarm);  // macros on macOS, so without ::
  sigaddset(&alarm, SIGALRM);
  std::signal(SIGALRM, [](int) { ::_exit(1); });
  ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(1);
  warn_line({"Gave up: ", Digits(static_cast<std::size_t>(running)), " running, ",
             Digits(static_cast<std::size_t>(waiting)), " waiting."});
  ::_exit(1);  // exit() would destroy what the other threads still use
}

}  // namespace

GracePeriod::GracePeriod(std::chrono::milliseconds limit)
    : limit_(limit), thread_(start_thread("the grace period's watch", [this] { watch(); })) {}

GracePeriod::~GracePeriod() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  stop_signal::trip();  // for an exit without a stop: watch() waits for one
  done_changed_.notify_one();
  thread_.join();
}

Clock::time_point GracePeriod::end() const noexcept { return after_stop(limit_); }

Clock::time_point GracePeriod::last_call() const noexcept {
  return after_stop(std::min<std::chrono::milliseconds>(1s, limit_ * 3 / 4));
}

bool GracePeriod::wait_until_last_call(int fd, Clock::time_point deadline) const {
  if (!stop_signal::time() && wait_readable_unless(fd, deadline, stop_signal::fd())) return true;
  // Either the deadline has passed, or the stop has come, which may bring the deadline forward.
  return wait_readable(fd, std::min(deadline, last_call()));
}

void GracePeriod::watch() noexcept {
  while (!stop_signal::time()) wait_readable(stop_signal::fd(), Clock::time_point::max());
  std::unique_lock lock(mutex_);
  const auto done = [this] { return done_; };
  if (done_changed_.wait_until(lock, end(), done)) return;
  // With no request left, the main thread needs only a moment more, unless it hangs.
  const bool idle = running_ == 0 && waiting_ == 0;
  if (idle && done_changed_.wait_for(lock, 1s, done)) return;
  give_up(running_, waiting_);
}
