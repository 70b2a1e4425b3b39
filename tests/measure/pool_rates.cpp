#include "pool_rates.hpp"

#include "stage4_graceful_shutdown/thread_pool.hpp"
#include "tests/harness/parallel.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Work {
  std::chrono::microseconds time;

  void operator()() const {
    if (time.count() == 0) return;
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
    }
  }
};

double per_second(std::size_t jobs, Clock::time_point begin) {
  return static_cast<double>(jobs) / std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

double loop_rate(std::size_t jobs, std::chrono::microseconds each) {
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < jobs; ++i) {
    Job job(Work{each});
    job();
  }
  return per_second(jobs, begin);
}

double pool_rate(std::size_t jobs, std::chrono::microseconds each, std::size_t producers) {
  const auto begin = Clock::now();
  {
    ThreadPool pool(4);
    in_parallel(jobs, producers, [&](std::size_t) { pool.execute(Work{each}); });
  }  // ~ThreadPool waits for the jobs
  return per_second(jobs, begin);
}
