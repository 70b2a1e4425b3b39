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

// A fixed number of threads that share one job queue.
//
// It has no destructor yet: destroying it ends the process, because a std::thread that is neither
// joined nor detached calls std::terminate. (Rust would detach it.) Stage 3 never gets that far.
class ThreadPool {
 public:
  // Starts `size` workers. Throws std::invalid_argument if `size` is 0 (the chapter's assert), and
  // std::system_error if worker 0 cannot be started. If a later one cannot, the process ends: the
  // pool already has a worker, and no destructor to join it.
  explicit ThreadPool(std::size_t size);

  // Queues `job` for the next free worker, and does not wait for it. A job that throws ends
  // the process.
  void execute(Job job);

 private:
  std::vector<Worker> workers_;
  Sender<Job> sender_;
};
