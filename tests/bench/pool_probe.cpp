// The student's pool of stage 3, with jobs of ours: `pool_probe SCENE`. Exit status 0 if all is
// well, 1 if not, with the reason on stdout. The pool has no destructor that would help, so each
// scene leaves by _Exit().

#include "stage3_pool/thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

using namespace std::chrono_literals;

namespace {

template <typename Condition>
bool soon(Condition condition, std::chrono::milliseconds limit = 10s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

[[noreturn]] void end(bool well, std::string_view reason) {
  if (!well) std::cout << '\n' << reason << std::endl;
  std::this_thread::sleep_for(well ? 200ms : 0ms);  // what a worker does after its job, it has done
#if defined(__SANITIZE_ADDRESS__)
  __lsan_do_recoverable_leak_check();
#endif
  std::_Exit(well ? 0 : 1);
}

// Jobs fail with an exception of any kind, and the next ones still run.
void throws() {
  ThreadPool pool(2);
  std::atomic<int> ran = 0;
  for (int i = 0; i < 50; ++i) {
    pool.execute([&] {
      ++ran;
      throw std::runtime_error("of the standard library");
    });
    pool.execute([&] {
      ++ran;
      throw std::bad_alloc();
    });
    pool.execute([&] {
      ++ran;
      throw 42;
    });
  }
  end(soon([&] { return ran == 150; }), "After a job that throws, not all the other jobs are run.");
}

// As many as a server sees in a day.
void many() {
  ThreadPool pool(1);
  std::atomic<int> ran = 0;
  constexpr int jobs = 100'000;
  for (int i = 0; i < jobs; ++i)
    pool.execute([&] {
      ++ran;
      throw std::runtime_error("one of many");
    });
  end(soon([&] { return ran == jobs; }, 60s), "Of 100,000 jobs that throw, not all are run.");
}

// Two jobs fail at the same time.
void together() {
  ThreadPool pool(2);
  for (int round = 0; round < 50; ++round) {
    auto here = std::make_shared<std::atomic<int>>(0);
    for (int i = 0; i < 2; ++i) {
      pool.execute([here] {
        ++*here;
        soon([&] { return *here >= 2; });
        ++*here;
        throw std::runtime_error("both at the same time");
      });
    }
    if (!soon([&] { return *here == 4; }))
      end(false, "Two jobs that fail at the same time do not both run.");
  }
  end(true, "");
}

// Two jobs in quick succession, and one free worker: each waits for the other.
void pairs() {
  for (int round = 0; round < 200; ++round) {
    auto* const pool = new ThreadPool(1);
    auto ran = std::make_shared<std::atomic<int>>(0);
    for (int i = 0; i < 2; ++i) {
      pool->execute([ran] {
        ++*ran;
        soon([&] { return *ran == 2; });
      });
    }
    if (!soon([&] { return *ran == 2; }, 3s))
      end(false, "Of two jobs in quick succession, the second waits for the first to end.");
  }
  std::_Exit(0);  // the pools live on
}

// It grows while workers come and go with their jobs.
void race() {
  ThreadPool pool(2);
  std::atomic<int> done = 0;
  int given = 0;
  for (int round = 0; round < 150; ++round) {
    for (int i = 0; i < 1 + round % 20; ++i, ++given) {
      pool.execute([&] {
        std::this_thread::sleep_for(1ms);
        ++done;
      });
    }
    if (round % 3 == 0) std::this_thread::sleep_for(2ms);
  }
  end(soon([&] { return done == given; }, 60s), "Of many short jobs, not all are run.");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view scene = argc > 1 ? argv[1] : "";
  if (scene == "throws") throws();
  if (scene == "many") many();
  if (scene == "together") together();
  if (scene == "pairs") pairs();
  if (scene == "race") race();
  return 2;
}
