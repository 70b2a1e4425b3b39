#include "thread_pool.hpp"

#include "common/log.hpp"
#include "common/thread.hpp"

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

// An exception that escapes a thread ends the process in C++; in Rust a panic ends the thread.
void run(Job& job, std::size_t id) noexcept {
  try {
    job();
  } catch (const std::exception& error) {
    warn_line({"Worker ", Digits(id), "'s job failed: ", error.what()});
  } catch (...) {
    warn_line({"Worker ", Digits(id), "'s job failed."});
  }
}

void work(std::size_t id, Receiver<Job> receiver) {
  while (std::optional<Job> job = receiver.recv()) {
    log_line({"Worker ", Digits(id), " got a job; executing."});
    run(*job, id);
  }
  log_line({"Worker ", Digits(id), " disconnected; shutting down."});
}

}  // namespace

Worker::Worker(std::size_t id, Receiver<Job> receiver)
    : id(id), thread(start_thread("worker " + std::to_string(id), work, id, std::move(receiver))) {}

// Delegates: once ThreadPool() is done, the destructor runs even if this constructor throws, and
// joins the workers already started.
ThreadPool::ThreadPool(std::size_t size) : ThreadPool() {
  if (size == 0) throw std::invalid_argument("a pool needs at least one worker");
  auto [sender, receiver] = channel<Job>();
  sender_ = std::move(sender);
  for (std::size_t id = 0; id < size; ++id) workers_.emplace_back(id, receiver);
}

ThreadPool::~ThreadPool() {
  // Close first, or a worker waiting in recv() could never be joined. (Rust:
  // drop(self.sender.take()).)
  sender_.reset();
  for (Worker& worker : workers_) {
    log_line({"Shutting down worker ", Digits(worker.id)});
    std::exchange(worker.thread, {}).join();  // Option::take, then join.
  }
}

void ThreadPool::execute(Job job) { sender_->send(std::move(job)); }

void ThreadPool::let_catch_up() { sender_->wait_if_more_than(workers_.size()); }
