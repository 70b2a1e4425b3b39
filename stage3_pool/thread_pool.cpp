#include "thread_pool.hpp"

#include "common/log.hpp"
#include "common/thread.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

void work(std::size_t id, Receiver<Job> receiver) {
  while (std::optional<Job> job = receiver.recv()) {
    log_line({"Worker ", Digits(id), " got a job; executing."});
    (*job)();
  }
}

}  // namespace

Worker::Worker(std::size_t id, Receiver<Job> receiver)
    : id(id), thread(start_thread("worker " + std::to_string(id), work, id, std::move(receiver))) {}

ThreadPool::ThreadPool(std::size_t size) {
  if (size == 0) throw std::invalid_argument("a pool needs at least one worker");
  auto [sender, receiver] = channel<Job>();
  sender_ = std::move(sender);
  for (std::size_t id = 0; id < size; ++id) workers_.emplace_back(id, receiver);
}

void ThreadPool::execute(Job job) { sender_.send(std::move(job)); }
