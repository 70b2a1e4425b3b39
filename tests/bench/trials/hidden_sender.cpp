// Nothing is wrong: main may notify, though no debugger sees how.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

struct Letters {
  std::mutex mutex;
  std::condition_variable sent;
  int count = 0;
};

void wait_for_one(std::shared_ptr<Letters> letters) {
  std::unique_lock lock(letters->mutex);
  letters->sent.wait(lock, [&] { return letters->count > 0; });
}

std::function<void()> start() {
  const auto letters = std::make_shared<Letters>();
  for (int i = 0; i < 2; ++i) std::thread(wait_for_one, letters).detach();
  return [letters] { letters->sent.notify_all(); };
}

int main() {
  const std::function<void()> send = start();
  std::this_thread::sleep_for(std::chrono::hours(1));
  send();
}
