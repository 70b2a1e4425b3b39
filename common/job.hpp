#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

// A call to make later, once, on some other thread: Rust's Box<dyn FnOnce() + Send>.
//
// std::function copies what it holds, and a closure that owns a socket cannot be copied;
// std::move_only_function is C++23, and libc++ does not have it yet.
class Job {
 public:
  // Anything that can be called; but another Job is to be moved, not held.
  template <typename F>
    requires(std::invocable<F&> && !std::same_as<std::remove_cvref_t<F>, Job>)
  Job(F&& function)
      : call_(std::make_unique<Holding<std::decay_t<F>>>(std::forward<F>(function))) {}

  void operator()() { call_->run(); }

 private:
  struct Call {
    virtual ~Call() = default;
    virtual void run() = 0;
  };
  template <typename F>
  struct Holding final : Call {
    explicit Holding(F f) : function(std::move(f)) {}
    void run() override { function(); }
    F function;
  };

  std::unique_ptr<Call> call_;
};
