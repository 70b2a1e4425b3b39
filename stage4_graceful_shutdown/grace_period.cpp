#include "grace_period.hpp"

#include "log.hpp"
#include "stop_signal.hpp"

#include <unistd.h>

namespace {

[[noreturn]] void give_up(const Requests& requests) {
  warn_line({"Gave up: ", Digits(static_cast<std::size_t>(requests.running)), " running, ",
             Digits(static_cast<std::size_t>(requests.waiting)), " waiting."});
  ::_exit(1);  // exit() would destroy what the other threads still use
}

}  // namespace

GracePeriod::GracePeriod(std::chrono::milliseconds limit, const Requests& requests)
    : limit_(limit), requests_(requests), thread_([this] { watch(); }) {}

GracePeriod::~GracePeriod() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  stop_signal::trip();  // for the exits without a stop: watch() waits for one
  done_changed_.notify_one();
  thread_.join();
}

void GracePeriod::watch() {
  stop_signal::wait();
  std::unique_lock lock(mutex_);
  if (!done_changed_.wait_until(lock, *stop_signal::time() + limit_, [this] { return done_; })) {
    give_up(requests_);
  }
}
