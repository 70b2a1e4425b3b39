// What a pool of threads has to stand, in every order of its threads. Any pool: it has
// ThreadPool(size), execute(job), and a destructor that finishes every job.

#include "common/log.hpp"
#include "scenario.hpp"
#include "thread_pool.hpp"

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

// The log is not what is explored.
void log_line(Parts) noexcept {}
void warn_line(Parts) noexcept {}

namespace {

// Something that threads wait for.
class Meeting {
 public:
  void arrive() {
    const std::lock_guard lock(mutex_);
    ++here_;
    changed_.notify_all();
  }
  void wait(int count = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return here_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int here_ = 0;
};

// The pool, and a watch on it: each job has to run once, and no worker may leave before the end.
class Pool {
 public:
  explicit Pool(std::size_t size) : pool_(std::make_unique<ThreadPool>(size)) {}
  ~Pool() {
    if (explore::pool_is_endless()) {
      all_ran_.wait(sent_);
      (void)pool_.release();
      return;
    }
    explore::pool_ends();
    pool_.reset();
    for (int i = 0; i < sent_; ++i) {
      explore::expect(ran_[i] > 0, "job lost", "The pool has ended, and a job has not run.");
      explore::expect(ran_[i] == 1, "job run twice", "A job has run twice.");
    }
  }

  // For a job that is about to be sent, perhaps by another thread: how often it has run.
  int& reserve() { return ran_[sent_++]; }

  template <typename Job>
  void execute(int& ran, Job job) {
    pool_->execute([this, &ran, job] {
      ++ran;
      const Arrival at_end{explore::pool_is_endless() ? &all_ran_ : nullptr};  // also if it throws
      job();
    });
  }
  template <typename Job>
  void execute(Job job) {
    execute(reserve(), job);
  }
  void execute() {
    execute([] {});
  }

  // Only some pools have it.
  void let_catch_up() { let_catch_up(*pool_); }

 private:
  struct Arrival {
    Meeting* meeting;
    ~Arrival() {
      if (meeting != nullptr) meeting->arrive();
    }
  };

  template <typename T>
  static void let_catch_up(T& pool) {
    if constexpr (requires { pool.let_catch_up(); }) pool.let_catch_up();
  }

  std::array<int, 8> ran_{};
  int sent_ = 0;
  Meeting all_ran_;
  std::unique_ptr<ThreadPool> pool_;
};

template <int workers, int jobs>
void send() {
  Pool pool(workers);
  for (int i = 0; i < jobs; ++i) pool.execute();
}

// At its end a pool wakes whoever has not been woken before. So one that stays tells more.
template <bool stays>
void meet() {
  if (stays) explore::pool_stays();
  Meeting both;
  Pool pool(2);
  for (int i = 0; i < 2; ++i) {
    pool.execute([&both] {
      both.arrive();
      both.wait(2);
    });
  }
}

template <int workers>
void answer() {
  Meeting answered;
  Pool pool(workers);
  pool.execute([&answered] { answered.arrive(); });
  answered.wait();
}

void throwing() {
  Pool pool(1);
  pool.execute([] { throw std::runtime_error("on purpose"); });
  pool.execute([] { throw 7; });
  pool.execute();
}

// The pool may fail to start. Then it must not leave anybody behind.
void no_thread() {
  try {
    Pool pool(2);
    pool.execute();
  } catch (const std::system_error&) {
  }
}

void job_sends_job() {
  Meeting sent;
  Pool pool(2);
  pool.execute([&] {
    pool.execute();
    sent.arrive();
  });
  sent.wait();
}

void two_senders() {
  Pool pool(2);
  int& first = pool.reserve();
  int& second = pool.reserve();
  explore::name_next_thread("sender");
  std::thread sender([&] { pool.execute(first, [] {}); });
  pool.execute(second, [] {});
  sender.join();
}

// Both are ahead of the only worker.
void ahead() {
  Pool pool(1);
  int& first = pool.reserve();
  int& second = pool.reserve();
  explore::name_next_thread("sender");
  std::thread sender([&] {
    pool.execute(first, [] {});
    pool.execute(second, [] {});
  });
  pool.execute([] {});
  sender.join();
}

// The only worker is busy, and stays so until main goes on.
void catch_up() {
  Meeting caught_up;
  Pool pool(1);
  pool.execute([&caught_up] { caught_up.wait(); });
  for (int i = 0; i < 2; ++i) pool.execute();
  pool.let_catch_up();
  caught_up.arrive();
}

constexpr explore::Scenario all[] = {
    {"idle", "2 workers, no job", send<2, 0>},
    {"jobs", "2 workers, 2 jobs, then the destructor", send<2, 2>},
    {"queue", "1 worker, 3 jobs", send<1, 3>},
    {"meet", "2 workers, 2 jobs that wait for each other", meet<false>},
    {"stays", "the same, and the pool is not destroyed", meet<true>},
    {"answer", "2 workers, and main waits for an answer", answer<2>},
    {"throws", "1 worker, two jobs that throw, and one more", throwing},
    {"no-thread",
     "2 workers, of which one cannot be started",
     no_thread,
     {.threads_not_started = 1}},
    {"job-sends", "2 workers, and a job sends a job", job_sends_job},
    {"senders", "2 workers, two threads that send a job each", two_senders},
    {"ahead", "1 worker, two threads that send 3 jobs", ahead},
    {"spurious",
     "2 workers, 1 job, a wake-up without a cause",
     send<2, 1>,
     {.spurious_wakeups = 1}},
    {"catch-up", "let_catch_up(), and its time may run out", catch_up},
};

}  // namespace

extern "C" const explore::Scenarios scenarios{all, std::size(all)};
