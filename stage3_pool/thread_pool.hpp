#pragma once

#include "common/channel.hpp"
#include "common/job.hpp"

#include <cstddef>
#include <thread>
#include <vector>

// One thread of the pool: takes a job, runs it, takes the next.
struct Worker {
  Worker(std::size_t id, Receiver<Job> receiver);

  std::size_t id;
  std::thread thread;
};

// A fixed number of threads that share one queue of jobs.
//
// It has no destructor yet: to destroy it ends the process, since a std::thread that is neither
// joined nor detached calls std::terminate. (Rust would detach it.) Stage 3 never comes that far.
class ThreadPool {
 public:
  // Starts `size` workers. Throws std::invalid_argument if `size` is 0 (the chapter's assert), and
  // std::system_error if worker 0 cannot be started; if a later one cannot, it ends the process,
  // for then the pool has a worker, and no destructor that joins it.
  explicit ThreadPool(std::size_t size);

  // Has a worker run `job`, as soon as one is free. Does not wait for that. A job that throws ends
  // the process.
  void execute(Job job);

 private:
  std::vector<Worker> workers_;
  Sender<Job> sender_;
};
