// The pool of stage 4. That of stage 3 can only be tested as a process: it never ends well. What
// depends on the order of the threads is tried in every order, by explore.

#include "stage4_graceful_shutdown/thread_pool.hpp"

#include "common/tcp.hpp"
#include "tests/harness/doctest.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/sanitizers.hpp"

#include <algorithm>
#include <atomic>
#include <climits>
#include <fstream>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace {

// What is written to stderr meanwhile.
template <typename Action>
std::string stderr_of(Action action) {
  const FileDescriptor usual(::dup(STDERR_FILENO));
  const FileDescriptor buffer(::memfd_create("stderr", MFD_CLOEXEC));
  ::dup2(buffer.get(), STDERR_FILENO);
  action();
  ::dup2(usual.get(), STDERR_FILENO);
  std::string text(5000, '\0');
  text.resize(static_cast<std::size_t>(
      std::max(::pread(buffer.get(), text.data(), text.size(), 0), ssize_t{0})));
  return text;
}

}  // namespace

TEST_SUITE("thread_pool") {
  TEST_CASE("a pool of no threads is refused") {
    CHECK_THROWS_AS(ThreadPool(0), std::invalid_argument);
  }

  TEST_CASE("as many jobs as workers run at the same time") {
    // Each waits for the others: a pool that holds the lock while it runs a job never ends this.
    constexpr std::size_t size = 4;
    std::latch all_running(size);
    ThreadPool pool(size);
    for (std::size_t i = 0; i < size; ++i) {
      pool.execute([&all_running] { all_running.arrive_and_wait(); });
    }
    all_running.wait();
    CHECK(all_running.try_wait());
  }

  TEST_CASE("the destructor waits for running and for queued jobs") {
    std::atomic<int> done = 0;
    {
      std::latch running(1);
      std::latch go_on(1);
      ThreadPool pool(1);
      pool.execute([&] {
        running.count_down();
        go_on.wait();
        ++done;
      });
      for (int i = 0; i < 100; ++i) pool.execute([&] { ++done; });
      running.wait();
      CHECK(done == 0);
      go_on.count_down();
    }
    CHECK(done == 101);
  }

  TEST_CASE("who brings the jobs can let the workers catch up, but is not held up by them") {
    std::latch go(1);
    std::atomic<int> done = 0;
    ThreadPool pool(1);
    for (int i = 0; i < 3; ++i) {
      pool.execute([&] {
        go.wait();
        ++done;
      });
    }
    pool.let_catch_up();  // returns, although nothing is done
    CHECK(done == 0);
    go.count_down();
  }

  TEST_CASE("a job that throws costs nothing else") {
    std::atomic<int> done = 0;
    {
      ThreadPool pool(2);
      for (int i = 0; i < 20; ++i) {
        pool.execute([] { throw std::runtime_error("on purpose"); });
        pool.execute([] { throw 7; });
        pool.execute([&] { ++done; });
      }
    }
    CHECK(done == 20);
  }

  TEST_CASE("whatever a job throws is told") {
    const std::string said = stderr_of([] {
      ThreadPool pool(1);
      pool.execute([] { throw std::runtime_error("on purpose"); });
      pool.execute([] { throw 7; });
    });
    CHECK(said == "Worker 0's job failed: on purpose\nWorker 0's job failed.\n");
  }

  TEST_CASE("a line that is too long for one write to a pipe is cut") {
    const std::string said = stderr_of([] {
      ThreadPool pool(1);
      pool.execute([] { throw std::runtime_error(std::string(PIPE_BUF, 'x')); });
    });
    CHECK(said.size() == PIPE_BUF);
    CHECK(said.ends_with("xx\n"));
  }

  TEST_CASE("a closure is destroyed when its job is done, not when the pool is") {
    const auto held = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = held;
    std::latch next(1);
    ThreadPool pool(1);
    pool.execute([copy = std::make_shared<std::shared_ptr<int>>(held)] {});
    pool.execute([&] { next.count_down(); });  // after the first, by the same worker
    next.wait();
    CHECK(seen.use_count() == 1);
  }

#ifndef UNDER_TSAN
  TEST_CASE("a thread that cannot be started leaves nothing behind") {
    const int threads = thread_count(::getpid());
    pthread_attr_t usual;
    pthread_attr_t huge;
    ::pthread_getattr_default_np(&usual);
    ::pthread_attr_init(&huge);
    ::pthread_attr_setstacksize(&huge, std::size_t{4} << 30);
    ::pthread_setattr_default_np(&huge);
    rlimit before{};
    ::getrlimit(RLIMIT_AS, &before);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const auto page = static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    const rlimit room_for_two{pages * page + (rlim_t{9} << 30), before.rlim_max};
    ::setrlimit(RLIMIT_AS, &room_for_two);

    CHECK_THROWS_AS(ThreadPool(4), std::system_error);

    ::setrlimit(RLIMIT_AS, &before);
    ::pthread_setattr_default_np(&usual);
    ::pthread_attr_destroy(&huge);
    CHECK(thread_count(::getpid()) == threads);
  }
#endif
}
