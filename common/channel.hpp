#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

// Rust's std::sync::mpsc: an unbounded queue from a Sender to a Receiver. Copies of the Receiver
// share that queue, as with the chapter's Arc<Mutex<Receiver>>: each value reaches one of them.
//
//   auto [sender, receiver] = channel<Job>();
//
// The Sender's destructor closes the channel. Values sent before that are still received.

template <typename T>
struct ChannelState {
  std::mutex mutex;
  std::condition_variable changed;
  std::condition_variable emptied;
  std::list<T> queue;   // guarded by mutex
  bool closed = false;  // guarded by mutex
};

template <typename T>
class Sender {
 public:
  Sender() = default;  // no channel yet: for a member that is assigned later
  explicit Sender(std::shared_ptr<ChannelState<T>> state) : state_(std::move(state)) {}
  Sender(Sender&&) = default;
  Sender& operator=(Sender other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Sender() {
    if (!state_) return;
    // Without the mutex, a receiver that has just seen "not closed" and is about to sleep would
    // miss the wake-up and sleep forever.
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    state_->changed.notify_all();
  }

  // Does not wait for a receiver. Thread-safe. Throws std::bad_alloc if there is no memory.
  void send(T value) {
    std::list<T> one;  // Allocated before locking: nobody holds the mutex while waiting for memory.
    one.push_back(std::move(value));
    {
      const std::lock_guard lock(state_->mutex);
      state_->queue.splice(state_->queue.end(), one);
    }
    state_->changed.notify_one();
  }

  // If more than `few` values are queued, waits until none is, but at most for `limit`.
  void wait_if_more_than(std::size_t few,
                         std::chrono::milliseconds limit = std::chrono::milliseconds(1)) {
    std::unique_lock lock(state_->mutex);
    if (state_->queue.size() <= few) return;
    state_->emptied.wait_for(lock, limit, [&] { return state_->queue.empty(); });
  }

 private:
  std::shared_ptr<ChannelState<T>> state_;
};

template <typename T>
class Receiver {
 public:
  explicit Receiver(std::shared_ptr<ChannelState<T>> state) : state_(std::move(state)) {}

  // Waits for the next value. Returns nullopt once the channel is closed and empty: Rust's Err.
  // Thread-safe, as if the chapter's Mutex were built in, but a waiting receiver does not hold it.
  std::optional<T> recv() {
    std::list<T> one;  // Outlives the lock, so its memory is freed without the mutex.
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return !state_->queue.empty() || state_->closed; });
    if (state_->queue.empty()) return std::nullopt;
    one.splice(one.end(), state_->queue, state_->queue.begin());
    if (state_->queue.empty()) state_->emptied.notify_one();
    return std::move(one.front());
  }

 private:
  std::shared_ptr<ChannelState<T>> state_;
};

template <typename T>
std::pair<Sender<T>, Receiver<T>> channel() {
  auto state = std::make_shared<ChannelState<T>>();
  return {Sender<T>(state), Receiver<T>(state)};
}
