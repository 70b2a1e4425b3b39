#include "fiber.hpp"

#include "real.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <pthread.h>

void Fiber::prepare(void (*entry)(), const char* name) {
  if (on_threads) {
    static void (*begin)();
    begin = entry;
    pthread_t thread;
    const auto body = [](void* self) -> void* {
      static_cast<Fiber*>(self)->turn_.acquire();
      begin();
      return nullptr;
    };
    if (real<decltype(pthread_create)>("pthread_create")(&thread, nullptr, body, this) != 0) {
      std::perror("explore: cannot start a thread");
      std::exit(2);
    }
    real<decltype(pthread_setname_np)>("pthread_setname_np")(thread, name);
    return;
  }
  if (context_.uc_stack.ss_sp == nullptr) {
    ::getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = stack_size;
  }
  ::makecontext(&context_, entry, 0);
  begun_ = false;
}

// setcontext() asks the kernel for the signal mask each time, and a jump does not.
void Fiber::resume() {
  if (begun_) ::_longjmp(place_, 1);
  begun_ = true;
  ::setcontext(&context_);
}

void Fiber::switch_between(Fiber& from, Fiber& to) {
  if (on_threads) {
    to.turn_.release();
    from.turn_.acquire();
    return;
  }
  from.begun_ = true;
  const int own_errno = errno;  // of each thread
  if (::_setjmp(from.place_) == 0) to.resume();
  errno = own_errno;
}
