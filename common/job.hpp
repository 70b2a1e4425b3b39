#pragma once

#include <concepts>
#include <memory>
#include <utility>

// A call to be made once, later, on some other thread: Rust's Box<dyn FnOnce() + Send>.
//
// std::function needs a callable that can be copied, and a closure that owns a socket cannot be;
// std::move_only_function is C++23, and libc++ does not have it yet.
class Job {
 public:
  template <typename F>
    requires std::invocable<F&>
  Job(F function)
      : function_(new F(std::move(function)), [](void* f) { delete static_cast<F*>(f); }),
        call_([](void* f) { (*static_cast<F*>(f))(); }) {}

  void operator()() { call_(function_.get()); }

 private:
  std::unique_ptr<void, void (*)(void*)> function_;  // an F, and how to destroy it
  void (*call_)(void*);
};
