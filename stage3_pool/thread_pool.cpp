#include "thread_pool.hpp"

#include "log.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace {

void work(std::size_t id, Receiver<Job> receiver) {
  const std::string name = "Worker " + std::to_string(id);
  const std::string got_a_job = name + " got a job; executing.";
  while (std::optional<Job> job = receiver.recv()) {
    log_line(got_a_job);
    (*job)();
  }
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
  for (std::size_t id = 0; id < size; ++id)
    workers_.emplace_back(id, receiver);
}

void ThreadPool::execute(Job job) {
  sender_.send(std::move(job));
}
