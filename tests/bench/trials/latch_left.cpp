// Three are awaited, and one leaves without a word.

#include <latch>
#include <thread>
#include <vector>

void phase(std::latch& all, int id) {
  if (id == 2) return;
  all.arrive_and_wait();
}

int main() {
  std::latch all(3);
  std::vector<std::thread> threads;
  for (int id = 0; id < 3; ++id) threads.emplace_back(phase, std::ref(all), id);
  for (std::thread& thread : threads) thread.join();
}
