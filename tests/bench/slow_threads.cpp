// Preloaded: what is usually over in microseconds takes as long as the environment says, in
// milliseconds. SLOW_START: until a new thread begins. SLOW_START_LESS: each thread that much less
// than the one before, so that they begin in the opposite order. SLOW_EXIT: exit(), while other
// threads still run. SLOW_ACCEPT: accept4().

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <dlfcn.h>
#include <memory>
#include <thread>

#include <pthread.h>
#include <sys/socket.h>

namespace {

int setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? 0 : std::atoi(value);
}

void wait(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

struct Start {
  void* (*function)(void*);
  void* argument;
  int delay;
};

void* begin_late(void* given) {
  const std::unique_ptr<Start> start(static_cast<Start*>(given));
  wait(start->delay);
  return start->function(start->argument);
}

const struct Exit {
  ~Exit() { wait(setting("SLOW_EXIT")); }
} slow_exit;

}  // namespace

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*function)(void*), void* argument) noexcept {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
  static std::atomic<int> started = 0;
  const int delay = setting("SLOW_START") - started++ * setting("SLOW_START_LESS");
  auto start = std::make_unique<Start>(Start{function, argument, delay});
  const int error = create(thread, attributes, begin_late, start.get());
  if (error == 0) static_cast<void>(start.release());
  return error;
}

extern "C" int accept4(int socket, sockaddr* address, socklen_t* size, int flags) {
  static const auto next = reinterpret_cast<decltype(&accept4)>(::dlsym(RTLD_NEXT, "accept4"));
  wait(setting("SLOW_ACCEPT"));
  return next(socket, address, size, flags);
}
