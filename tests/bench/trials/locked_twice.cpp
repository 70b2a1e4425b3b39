// A function that locks calls another one that locks.

#include <mutex>

std::mutex counter_mutex;
int counter = 0;

int get() {
  const std::lock_guard lock(counter_mutex);
  return counter;
}

void increment() {
  const std::lock_guard lock(counter_mutex);
  counter = get() + 1;
}

int main() { increment(); }
