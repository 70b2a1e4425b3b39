// What the explorer has to find, and how many orders there are, where that is known: its own tests.

#include "scenario.hpp"

#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <iterator>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore.h>
#include <semaphore>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <pthread.h>

namespace {

using explore::expect;
using namespace std::chrono_literals;

// Runs each in a thread of its own, until all are done. These are no workers of a pool.
void run_at_once(const std::vector<std::function<void()>>& bodies) {
  static constexpr std::array names{"thread 1", "thread 2", "thread 3", "thread 4", "thread 5"};
  std::vector<std::thread> threads;
  for (const auto& body : bodies) {
    explore::name_next_thread(names[threads.size()]);
    threads.emplace_back(std::ref(body));
  }
  for (std::thread& thread : threads) thread.join();
}
template <typename... Bodies>
void at_once(const Bodies&... bodies) {
  run_at_once({bodies...});
}

template <int steps>
void independent() {
  std::array<std::atomic<int>, 2> counts{};
  const auto count = [&counts](std::size_t which) {
    for (int i = 0; i < steps; ++i) ++counts[which];
  };
  at_once([&] { count(0); }, [&] { count(1); });
}

template <int steps>
void dependent() {
  std::atomic<int> counter = 0;
  const auto count = [&counter] {
    for (int i = 0; i < steps; ++i) ++counter;
  };
  at_once(count, count);
  expect(counter == 2 * steps, "lost", "An increment is lost.");
}

void load_and_store() {
  std::atomic<int> counter = 0;
  const auto count = [&counter] { counter = counter + 1; };
  at_once(count, count);
  expect(counter == 2, "lost", "An increment is lost.");
}

void check_then_act() {
  std::atomic<int> tickets = 1;
  std::atomic<int> sold = 0;
  const auto buy = [&] {
    if (tickets > 0) {
      --tickets;
      ++sold;
    }
  };
  at_once(buy, buy);
  expect(sold == 1, "sold twice", "There was one ticket, and two are sold.");
}

// G. L. Peterson, "Myths about the mutual exclusion problem", 1981.
template <bool right>
void peterson() {
  std::array<std::atomic<bool>, 2> wants{};
  std::atomic<std::size_t> turn = 0;
  int inside = 0;  // not atomic: whoever is in there is alone
  const auto enter = [&](std::size_t self) {
    wants[self] = true;
    if (right) turn = 1 - self;
    while (wants[1 - self] && (!right || turn == 1 - self)) std::this_thread::yield();
    ++inside;
    wants[self] = false;
  };
  at_once([&] { enter(0); }, [&] { enter(1); });
  expect(inside == 2, "lost", "Both were inside.");
}

// E. W. Dijkstra, EWD 310, 1971: each takes the fork to the left, then the one to the right.
template <bool in_order>
void philosophers() {
  std::array<std::mutex, 3> forks;
  const auto eat = [&forks](std::size_t first, std::size_t second) {
    const std::lock_guard left(forks[first]);
    const std::lock_guard right(forks[second]);
  };
  at_once([&] { eat(0, 1); }, [&] { eat(1, 2); }, [&] { in_order ? eat(0, 2) : eat(2, 0); });
}

// Room for one. With one condition for both sides, a notification may reach the wrong one.
template <bool right>
class Buffer {
 public:
  void put(int value) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !value_; });
    value_ = value;
    notify();
  }
  int get() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return value_.has_value(); });
    const int value = *value_;
    value_.reset();
    notify();
    return value;
  }

 private:
  void notify() { right ? changed_.notify_all() : changed_.notify_one(); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<int> value_;
};

template <bool right>
void buffer() {
  Buffer<right> buffer;
  const auto put = [&buffer] { buffer.put(7); };
  const auto get = [&buffer] { expect(buffer.get() == 7, "lost", "Another value came out."); };
  at_once(put, put, get, get);
}

void race() {
  int counter = 0;
  const auto count = [&counter] { ++counter; };
  at_once(count, count);
}

void freed() {
  std::mutex mutex;
  auto value = std::make_unique<int>(7);
  at_once(
      [&] {
        const std::lock_guard lock(mutex);
        value.reset();
      },
      [&, seen = value.get()] {
        const std::lock_guard lock(mutex);
        expect(*seen == 7, "wrong", "It reads something else.");
      });
}

// Reached by a pointer, a thread_local of one thread is still only its own.
thread_local int mine = 1;
void thread_locals() {
  const auto count = [] { ++mine; };
  at_once(count, [&] {
    count();
    expect(mine == 2, "shared", "A thread_local is shared.");
  });
  expect(mine == 1, "shared", "A thread_local is shared.");
}

void semaphores() {
  std::counting_semaphore<2> filled(0);
  std::latch done(2);
  int value = 0;
  at_once(
      [&] {
        value = 7;
        filled.release();
        done.arrive_and_wait();
      },
      [&] {
        filled.acquire();
        expect(value == 7, "lost", "The value is not there yet.");
        done.arrive_and_wait();
      });
}

// In libstdc++, whoever fails to take it twice may sleep though it is free:
// https://gcc.gnu.org/bugzilla/show_bug.cgi?id=98033
void contended_semaphore() {
  std::counting_semaphore<2> free(1);
  const auto use = [&free] {
    free.acquire();
    free.release();
  };
  at_once(use, use);
}

void atomic_wait() {
  std::atomic<bool> ready = false;
  at_once([&] { ready.wait(false); },
          [&] {
            ready = true;
            ready.notify_one();
          });
}

// libc++ looks again every two seconds, so there it only takes long.
void atomic_wait_forgotten() {
  std::atomic<bool> ready = false;
  at_once([&] { ready.wait(false); }, [&] { ready = true; });
}

void readers() {
  std::shared_mutex mutex;
  int value = 0;
  const auto read = [&] {
    const std::shared_lock lock(mutex);
    return value;
  };
  at_once(read, read, [&] {
    const std::lock_guard lock(mutex);
    ++value;
  });
}

void once() {
  std::once_flag flag;
  std::atomic<int> calls = 0;
  const auto call = [&] { std::call_once(flag, [&] { ++calls; }); };
  at_once(call, call);
  expect(calls == 1, "called twice", "It is called twice.");
}

int make() { return 7; }
void function_static() {
  const auto look = [] {
    static const int value = make();
    expect(value == 7, "not made", "A static is seen before it is made.");
  };
  at_once(look, look);
}

void try_lock() {
  std::mutex mutex;
  at_once([&] { const std::lock_guard lock(mutex); },
          [&] {
            expect(mutex.try_lock(), "busy", "It is locked.");
            mutex.unlock();
          });
}

// Looks again each millisecond, with a condition variable that nobody notifies.
void polling() {
  std::mutex mutex;
  std::condition_variable changed;
  bool ready = false;
  at_once(
      [&] {
        std::unique_lock lock(mutex);
        while (!ready) changed.wait_for(lock, 1ms);
      },
      [&] {
        const std::lock_guard lock(mutex);
        ready = true;
      });
}

void sleeping() {
  std::atomic<bool> ready = false;
  at_once(
      [&] {
        while (!ready) std::this_thread::sleep_for(1ms);
      },
      [&] { ready = true; });
}

void spinning_lock() {
  std::atomic_flag locked;
  int inside = 0;
  const auto enter = [&] {
    while (locked.test_and_set()) {
    }
    ++inside;
    locked.clear();
  };
  at_once(enter, enter);
}

// The one that is notified may be the one that ends it ([thread.condition.condvar]).
template <bool all>
void condition_ends() {
  std::mutex mutex;
  std::optional<std::condition_variable> changed;
  changed.emplace();
  bool ready = false;
  bool waits = false;
  at_once(
      [&] {
        std::unique_lock lock(mutex);
        waits = true;
        while (!ready) changed->wait(lock);
      },
      [&] {
        const std::lock_guard lock(mutex);
        ready = true;
        if (all && waits) changed->notify_all();
        if (waits) changed.reset();
      });
}

void freed_atomic() {
  auto counter = std::make_unique<std::atomic<int>>(0);
  std::atomic<int> turn = 0;
  at_once(
      [&] {
        ++*counter;
        turn.store(1, std::memory_order_relaxed);
      },
      [&] {
        if (turn.load(std::memory_order_relaxed) == 1) counter.reset();
      });
}

// What one has released is not in the flag that another sets.
template <std::memory_order order>
void two_stores() {
  std::atomic<int> flag = 0;
  int value = 0;
  at_once(
      [&] {
        value = 7;
        flag.store(1, std::memory_order_release);
      },
      [&] {
        if (flag.load(std::memory_order_relaxed) == 1) flag.store(2, order);
      },
      [&] {
        if (flag.load(std::memory_order_acquire) == 2) expect(value == 7, "lost", "It is not 7.");
      });
}

void fence() {
  std::atomic<bool> ready = false;
  int value = 0;
  at_once(
      [&] {
        value = 7;
        ready.store(true, std::memory_order_release);
      },
      [&] {
        if (!ready.load(std::memory_order_relaxed)) return;
        std::atomic_thread_fence(std::memory_order_acquire);
        expect(value == 7, "lost", "It is not 7.");
      });
}

// A clock that is read early, and a sleep that ends before: both are seen.
void clocks() {
  using std::chrono::steady_clock;
  std::atomic<bool> slept = false;
  bool early = false;
  at_once(
      [&] {
        std::this_thread::sleep_for(1ms);
        slept = true;
      },
      [&] {
        const auto begin = steady_clock::now();
        early = steady_clock::now() == begin && slept;
      });
  expect(!early, "early", "Somebody has slept, and no time has passed.");
}

void own_errno() {
  std::atomic<int> steps = 0;
  const auto set = [&steps](int error) {
    errno = error;
    ++steps;
    expect(errno == error, "shared", "errno is shared.");
  };
  at_once([&] { set(5); }, [&] { set(7); });
}

void for_ever() {
  for (std::mutex mutex;;) {
    mutex.lock();
    mutex.unlock();
  }
}

void barrier_of_posix() {
  pthread_barrier_t barrier;
  pthread_barrier_wait(&barrier);
}

void nobody_unlocks() {
  std::mutex mutex;
  mutex.lock();
  mutex.lock();
}

void thrown() {
  at_once([] { throw 7; });
}

void crash() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 7;
}

void asserted() {
  std::atomic<int> counter = 0;
  at_once([&] { ++counter; }, [&] { assert(counter == 0); });
}

void left_running() {
  explore::name_next_thread("thread");
  std::thread([] {}).detach();
}

constexpr explore::Scenario all[] = {
    {"apart-4", "4 steps each that do not touch: they can change places", independent<4>, {}, 1},
    {"same-1", "1 step each on the same atomic: 2 over 1", dependent<1>, {}, 2},
    {"same-3", "3 steps each on the same atomic: 6 over 3", dependent<3>, {}, 20},
    {"same-5", "5 steps each on the same atomic: 10 over 5", dependent<5>, {}, 252},
    {"load-store", "an increment as load and store", load_and_store, {}, 0, "lost"},
    {"tickets", "check, then act, on an atomic", check_then_act, {}, 0, "sold twice"},
    {"peterson", "Peterson's lock", peterson<true>},
    {"no-turn", "Peterson's lock without whose turn it is", peterson<false>, {}, 0, "never ends"},
    {"dinner",
     "dining philosophers, who all begin at the left",
     philosophers<false>,
     {},
     0,
     "hang"},
    {"in-order", "dining philosophers, who take forks in order", philosophers<true>},
    {"buffer", "a bounded buffer", buffer<true>},
    {"notify-one", "a bounded buffer that notifies one", buffer<false>, {}, 0, "hang"},
    {"race", "an int that two threads count up", race, {}, 0, "data race"},
    {"freed", "one frees, another reads", freed, {}, 0, "freed memory"},
    {"tls", "thread_local", thread_locals},
    {"semaphore", "std::counting_semaphore and std::latch", semaphores},
    {"gcc-98033",
     "two want the same std::counting_semaphore",
     contended_semaphore,
     {},
     0,
     "in some libraries"},
    {"wait", "std::atomic::wait and notify", atomic_wait},
    {"no-notify",
     "std::atomic::wait, and nobody notifies",
     atomic_wait_forgotten,
     {},
     0,
     "in some libraries"},
    {"readers", "std::shared_mutex", readers},
    {"once", "std::call_once", once},
    {"static", "a static variable of a function", function_static},
    {"try-lock", "a mutex that is only tried", try_lock, {}, 0, "busy"},
    {"polling", "wait_for(), again and again", polling},
    {"sleeping", "sleep_for(), again and again", sleeping},
    {"spin-lock", "a lock that spins", spinning_lock},
    {"cv-ends", "a condition variable, ended once all are notified", condition_ends<true>},
    {"cv-waits",
     "a condition variable, ended while one waits",
     condition_ends<false>,
     {},
     0,
     "destroyed while waited for"},
    {"freed-atomic",
     "an atomic that is freed with nothing in between",
     freed_atomic,
     {},
     0,
     "data race"},
    {"two-stores",
     "a release sequence that a store ends",
     two_stores<std::memory_order_release>,
     {},
     0,
     "data race"},
    {"relaxed",
     "the same, with a relaxed store",
     two_stores<std::memory_order_relaxed>,
     {},
     0,
     "data race"},
    {"fence", "a relaxed load, and a fence", fence},
    {"clocks", "a clock, and a sleep beside it", clocks, {}, 0, "early"},
    {"errno", "errno", own_errno},
    {"for-ever", "a thread that never ends", for_ever, {}, 0, "never ends"},
    {"barrier", "a call that is not simulated", barrier_of_posix, {}, 0, "not simulated"},
    {"relock", "a mutex that its owner locks again", nobody_unlocks, {}, 0, "hang"},
    {"throws", "an exception that leaves a thread", thrown, {}, 0, "terminate"},
    {"assert", "an assert() that holds in some orders", asserted, {}, 0, "assertion"},
    {"crash", "a null pointer", crash, {}, 0, "crash"},
    {"detached", "a thread that is not joined", left_running, {}, 0, "not joined"},
};

}  // namespace

extern "C" const explore::Scenarios scenarios{all, std::size(all)};
