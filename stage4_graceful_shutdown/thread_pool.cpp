#include "thread_pool.hpp"

#include "log.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace {

// A thread that lets an exception out ends the whole process, in C++; in Rust only itself.
void run(Job& job, const std::string& name) {
  try {
    job();
  } catch (const std::exception& error) {
    warn_line(name + "'s job failed: " + error.what());
  } catch (...) {
    warn_line(name + "'s job failed.");
  }
}

void work(std::size_t id, Receiver<Job> receiver) {
  const std::string name = "Worker " + std::to_string(id);
  const std::string got_a_job = name + " got a job; executing.";
  while (std::optional<Job> job = receiver.recv()) {
    log_line(got_a_job);
    run(*job, name);
  }
  log_line(name + " disconnected; shutting down.");
}

}  // namespace

Worker::Worker(std::size_t id, Receiver<Job> receiver) try
    : id(id), thread(work, id, std::move(receiver)) {
} catch (const std::system_error& error) {
  throw std::system_error(error.code(), "cannot start worker " + std::to_string(id));
}

ThreadPool::ThreadPool(std::size_t size) {
  if (size == 0) throw std::invalid_argument("a pool needs a worker");
  auto [sender, receiver] = channel<Job>();
  sender_ = std::move(sender);
  try {
    for (std::size_t id = 0; id < size; ++id)
      workers_.emplace_back(id, receiver);
  } catch (...) {
    shut_down();  // A constructor that throws has no destructor to do it.
    throw;
  }
}

void ThreadPool::execute(Job job) {
  sender_->send(std::move(job));
}

void ThreadPool::let_catch_up() {
  sender_->wait_if_more_than(workers_.size(), std::chrono::milliseconds(1));
}

void ThreadPool::shut_down() {
  // First of all, or a worker waiting in recv() could never be joined. (Rust:
  // drop(self.sender.take()).)
  sender_.reset();
  for (Worker& worker : workers_) {
    log_line("Shutting down worker " + std::to_string(worker.id));
    std::exchange(worker.thread, {}).join();  // Option::take, then join.
  }
}
