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

// A fixed number of threads that share one job queue.
class ThreadPool {
 public:
  // Starts `size` workers. Throws std::invalid_argument if `size` is 0 (the chapter's assert), and
  // std::system_error if a worker cannot be started.
  explicit ThreadPool(std::size_t size);

  // Finishes every job, running or queued, then joins the workers: the chapter's impl Drop.
  ~ThreadPool();

  // Queues `job` for the next free worker, and does not wait for it. A job that throws harms
  // only itself.
  void execute(Job job);

  // Not in the chapter: under load it saves the thread that brings the jobs most of its wake-ups
  // (notes/measurements.md). Call it when there is no job to bring. If more jobs are queued than
  // there are workers, waits until none is queued, but at most a millisecond.
  void let_catch_up();

 private:
  ThreadPool() = default;

  std::vector<Worker> workers_;
  std::optional<Sender<Job>> sender_;
};
