// A pool without a condition variable: at the end, one of three workers is woken.

#include <functional>
#include <mutex>
#include <queue>
#include <semaphore>
#include <thread>
#include <vector>

struct Pool {
  std::counting_semaphore<> jobs{0};
  std::mutex mutex;
  std::queue<std::function<void()>> queue;
  bool stopped = false;
  std::vector<std::thread> threads;

  explicit Pool(int size) {
    for (int i = 0; i < size; ++i) threads.emplace_back([this] { loop(); });
  }
  void loop() {
    while (true) {
      jobs.acquire();
      const std::lock_guard lock(mutex);
      if (queue.empty()) return;
      queue.front()();
      queue.pop();
    }
  }
  void stop() {
    stopped = true;
    jobs.release();
    for (std::thread& thread : threads) thread.join();
  }
};

int main() {
  Pool pool(3);
  pool.stop();
}
