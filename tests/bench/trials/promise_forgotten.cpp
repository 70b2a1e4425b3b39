// A thread goes on forever, and never sets the result.

#include <future>
#include <thread>

void work(std::promise<int>& result, bool known) {
  while (true) {
    std::this_thread::sleep_for(std::chrono::hours(1));
    if (known) result.set_value(1);
  }
}

int main() {
  std::promise<int> result;
  std::future<int> future = result.get_future();
  std::thread worker([&result] { work(result, false); });
  const int value = future.get();
  worker.join();
  return value;
}
