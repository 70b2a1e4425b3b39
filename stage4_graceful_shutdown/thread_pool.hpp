#pragma once

#include "common/channel.hpp"
#include "common/job.hpp"

#include <cstddef>
#include <optional>
#include <thread>
#include <vector>

// One thread of the pool: takes a job, runs it, takes the next.
struct Worker {
  Worker(std::size_t id, Receiver<Job> receiver);

  std::size_t id;
  std::thread thread;
};

// A fixed number of threads that share one queue of jobs.
class ThreadPool {
 public:
  // Starts `size` workers. Throws std::invalid_argument if `size` is 0 (the chapter's assert), and
  // std::system_error if a worker cannot be started.
  explicit ThreadPool(std::size_t size);

  // Finishes every job, running or queued, then ends the workers: the chapter's impl Drop.
  ~ThreadPool();

  // Has a worker run `job`, as soon as one is free. Does not wait for that. A job that throws harms
  // only itself.
  void execute(Job job);

  // Not in the chapter: under load it spares whoever brings the jobs most wake-ups
  // (notes/measurements.md). To be called when there is none to bring. If more wait than there are
  // workers, waits until all are taken; but at most a millisecond.
  void let_catch_up();

 private:
  ThreadPool() = default;

  std::vector<Worker> workers_;
  std::optional<Sender<Job>> sender_;
};
