#pragma once

#include <csetjmp>
#include <semaphore>
#include <ucontext.h>

// What one thread of the explored program runs on: a stack and a place to go on from. Only one of
// all fibers runs at a time, and it says itself who goes on.
//
// Usually they share one thread of the kernel, since a switch then takes a few nanoseconds. For a
// debugger each can be a thread of its own (on_threads), so that it shows them as it always does.
class Fiber {
 public:
  static constexpr std::size_t stack_size = 256 * 1024;  // bytes
  static inline bool on_threads = false;

  // Gives it a stack, for good.
  void own_stack(void* stack) { stack_ = stack; }
  // Begins with `entry`, which never returns, when it is switched to; whatever it was at is given
  // up. `name` is what a debugger shows, if it is a thread.
  void prepare(void (*entry)(), const char* name);

  // From `from`, which is running, to `to`. Returns when somebody switches back.
  static void switch_between(Fiber& from, Fiber& to);

 private:
  void resume();

  void* stack_ = nullptr;
  bool begun_ = false;
  ucontext_t context_{};
  jmp_buf place_{};
  std::binary_semaphore turn_{0};
};
