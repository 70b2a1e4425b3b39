// What will notify lies behind a std::function, where no stack shows it: the wait has an end.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

void after_an_hour(const std::function<void()>& callback) {
  std::this_thread::sleep_for(std::chrono::hours(1));
  callback();
}

int main() {
  std::mutex mutex;
  std::condition_variable rang;
  bool over = false;
  std::thread timer(after_an_hour, [&] {
    const std::lock_guard lock(mutex);
    over = true;
    rang.notify_all();
  });
  std::thread sleeper([&] {
    std::unique_lock lock(mutex);
    rang.wait(lock, [&] { return over; });
  });
  sleeper.join();
  timer.join();
}
