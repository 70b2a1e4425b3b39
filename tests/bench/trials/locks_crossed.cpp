// Two mutexes, locked in one order by one thread and in the other by another.

#include <mutex>
#include <thread>

struct Account {
  std::mutex mutex;
  int money = 100;
};

void transfer(Account& from, Account& to, int amount) {
  const std::lock_guard lock_from(from.mutex);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::lock_guard lock_to(to.mutex);
  from.money -= amount;
  to.money += amount;
}

int main() {
  Account one, two;
  std::thread left([&] { transfer(one, two, 1); });
  std::thread right([&] { transfer(two, one, 1); });
  left.join();
  right.join();
}
