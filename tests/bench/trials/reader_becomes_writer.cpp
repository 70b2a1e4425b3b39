// Who holds the lock for reading waits for a thread that wants it for writing.

#include <mutex>
#include <shared_mutex>
#include <thread>

std::shared_mutex cache_mutex;

void refresh() { const std::unique_lock lock(cache_mutex); }

int main() {
  const std::shared_lock lock(cache_mutex);
  std::thread thread(refresh);
  thread.join();
}
