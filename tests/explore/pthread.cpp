// The threads, mutexes and condition variables of POSIX, for the program that is explored: each
// call is a step. What a mutex knows lies in the mutex itself, where glibc has it.

#include "memory.hpp"
#include "real.hpp"
#include "world.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <ctime>
#include <mutex>
#include <semaphore.h>
#include <string>

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

extern "C" int __cxa_atexit(void (*)(void*), void*, void*);

using namespace explore;

namespace {

int me() { return static_cast<int>(world.current->id) + 1; }

Thread& thread_of(pthread_t handle) { return world.threads[handle - 1]; }

Time nanoseconds(const timespec& time) { return time.tv_sec * Time{1'000'000'000} + time.tv_nsec; }

// What lies in freed memory cannot be locked, nor waited for.
void touch(const void* object) { access_atomic(object, 1, false); }

// --- mutexes -------------------------------------------------------------------------------------

bool can_lock(const pthread_mutex_t* mutex, int thread) {
  const auto& data = mutex->__data;
  return data.__owner == 0 || (data.__owner == thread && data.__kind == PTHREAD_MUTEX_RECURSIVE_NP);
}

void own(pthread_mutex_t* mutex) {
  mutex->__data.__owner = me();
  ++mutex->__data.__count;
  acquire(*world.current, mutex);
}

void disown(pthread_mutex_t* mutex) {
  release(*world.current, mutex);
  if (--mutex->__data.__count == 0) mutex->__data.__owner = 0;
}

// Nobody comes between a lock and its unlock if there is no step between them; but whoever only
// tries would notice. So it may find the mutex locked though it is free, which C++ allows
// ([thread.mutex.requirements.mutex]); once in a run, or it might try for ever.
bool finds_it_locked() {
  return world.any_time && world.luck.busy_locks > 0 && world.which(2) == 1 &&
         world.luck.busy_locks-- > 0;
}

int lock(pthread_mutex_t* mutex, Time until) {
  if (!world.in_program) return 0;
  const Outside outside;
  const auto ready = [mutex, self = me()] { return can_lock(mutex, self); };
  world.look(mutex);
  world.step({"lock", mutex, until == never ? nullptr : &world.now, Step::locks}, ready, until);
  touch(mutex);
  if (!ready() || (until != never && finds_it_locked())) return ETIMEDOUT;
  own(mutex);
  return 0;
}

// --- condition variables -------------------------------------------------------------------------

// POSIX allows it to return without a cause; how often in a run, is said by `luck`.
int wait(pthread_cond_t* changed, pthread_mutex_t* mutex, Time until) {
  if (!world.in_program) return 0;
  const Outside outside;
  Thread& self = *world.current;
  if (until != never) world.look(changed);
  world.step({"wait", changed, mutex, Step::locks});
  touch(changed);
  if (mutex->__data.__owner != me())
    world.fail("wait without the lock", self.name + " waits, and does not hold the mutex.");
  disown(mutex);
  self.waits_on = changed;
  self.notified = false;
  const auto notified = [&self] { return self.notified || world.luck.spurious_wakeups > 0; };
  const auto ready = [&notified, mutex, id = me()] { return can_lock(mutex, id) && notified(); };
  bool in_time = true;
  if (until == never) {
    // To wake up and to lock is one step: between them nobody could tell.
    world.step({"wake up", changed, mutex}, ready);
    if (!self.notified) --world.luck.spurious_wakeups;
  } else {
    world.step(
        {"wake up", changed, &world.now, Step::locks}, [&self] { return self.notified; }, until);
    in_time = self.notified;
    if (in_time) {  // but it may wake up late, and std::condition_variable looks at the clock
      if (world.any_time && world.which(2) == 1) world.now = std::max(world.now, until);
    } else if (world.luck.spurious_wakeups > 0 && world.which(2) == 1) {
      --world.luck.spurious_wakeups;
      world.now = world.now_before;
      in_time = true;
    } else {
      world.was("time out");
    }
  }
  self.waits_on = nullptr;
  if (!self.notified)
    touch(changed);  // [thread.condition.condvar]: it may end once all are notified
  if (until != never)
    world.step({"lock", mutex, nullptr, Step::locks},
               [mutex, id = me()] { return can_lock(mutex, id); });
  own(mutex);
  return in_time ? 0 : ETIMEDOUT;
}

int notify(pthread_cond_t* changed, const char* what, bool all) {
  if (!world.in_program) return 0;
  const Outside outside;
  world.step({what, changed});
  touch(changed);
  world.wake(changed, all);
  return 0;
}

// --- reader-writer locks -------------------------------------------------------------------------

int lock_shared(pthread_rwlock_t* mutex, Time until) {
  if (!world.in_program) return 0;
  const Outside outside;
  const auto free = [mutex] { return mutex->__data.__cur_writer == 0; };
  world.step({"lock shared", mutex, nullptr, Step::locks}, free, until);
  touch(mutex);
  if (!free()) return ETIMEDOUT;
  ++mutex->__data.__readers;
  acquire(*world.current, mutex);
  return 0;
}

int lock_alone(pthread_rwlock_t* mutex, Time until) {
  if (!world.in_program) return 0;
  const Outside outside;
  const auto free = [mutex] {
    return mutex->__data.__cur_writer == 0 && mutex->__data.__readers == 0;
  };
  world.step({"lock", mutex, nullptr, Step::locks}, free, until);
  touch(mutex);
  if (!free()) return ETIMEDOUT;
  mutex->__data.__cur_writer = me();
  acquire(*world.current, mutex);
  return 0;
}

// --- futexes: what std::atomic::wait, std::counting_semaphore, std::latch and std::barrier are
// made of

long futex(const int* at, int operation, int value, const timespec* timeout) {
  const Outside outside;
  Thread& self = *world.current;
  switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: {
      world.step({"wait", at});
      touch(at);
      if (*at != value) {
        errno = EAGAIN;
        return -1;
      }
      self.waits_on = at;
      self.notified = false;
      const bool relative = (operation & FUTEX_CMD_MASK) == FUTEX_WAIT;
      const Time until =
          timeout == nullptr ? never : nanoseconds(*timeout) + (relative ? world.now : 0);
      world.step({"wake up", at}, [&self] { return self.notified; }, until);
      self.waits_on = nullptr;
      if (self.notified) return 0;
      errno = ETIMEDOUT;
      return -1;
    }
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
      world.step({value == 1 ? "notify one" : "notify all", at});
      world.wake(at, value != 1);
      return value;
    default:
      world.fail("not simulated", "explore does not simulate this operation of futex(2).");
  }
}

// --- semaphores: their value is the first int of them
// ---------------------------------------------

int wait(sem_t* semaphore, Time until) {
  if (!world.in_program) return 0;
  const Outside outside;
  int& value = *reinterpret_cast<int*>(semaphore);
  world.step({"acquire", semaphore}, [&value] { return value > 0; }, until);
  touch(semaphore);
  if (value == 0) {
    errno = ETIMEDOUT;
    return -1;
  }
  --value;
  acquire(*world.current, semaphore);
  return 0;
}

// Returns 0, or EINTR if a signal's handler has run meanwhile.
int sleep_until(Time until, timespec* left) {
  world.look(&world.now);
  if (world.step(
          {"sleep", world.any_time ? &world.now : nullptr, nullptr, Step::locks},
          [] { return false; }, until, true))
    return 0;
  const Time rest = std::max<Time>(until - world.now, 0);
  if (left != nullptr) *left = {rest / 1'000'000'000, rest % 1'000'000'000};
  return EINTR;
}

}  // namespace

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* mutex) { return lock(mutex, never); }
int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) {
  return lock(mutex, nanoseconds(*until));
}
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t, const timespec* until) {
  return lock(mutex, nanoseconds(*until));
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  if (!world.in_program) return 0;
  const Outside outside;
  world.look(mutex);
  world.step({"try to lock", mutex, nullptr, Step::locks});
  touch(mutex);
  if (!can_lock(mutex, me()) || finds_it_locked()) return EBUSY;
  own(mutex);
  return 0;
}
// Not a step of its own: as long as it is held, nobody else can do anything with it, so it might as
// well be given back at once.
int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  if (!world.in_program) return 0;
  const Outside outside;
  touch(mutex);
  if (mutex->__data.__owner != me())
    world.fail("unlock without the lock", world.current->name + " unlocks what it has not locked.");
  disown(mutex);
  world.also({"unlock", mutex, nullptr, Step::locks});
  return 0;
}
int pthread_mutex_destroy(pthread_mutex_t* mutex) {
  if (!world.in_program) return 0;
  const Outside outside;
  if (mutex->__data.__owner != 0)
    world.fail("destroyed while locked", "A mutex is destroyed that somebody holds.");
  return 0;
}

int pthread_cond_wait(pthread_cond_t* changed, pthread_mutex_t* mutex) {
  return wait(changed, mutex, never);
}
int pthread_cond_timedwait(pthread_cond_t* changed, pthread_mutex_t* mutex, const timespec* until) {
  return wait(changed, mutex, nanoseconds(*until));
}
int pthread_cond_clockwait(pthread_cond_t* changed, pthread_mutex_t* mutex, clockid_t,
                           const timespec* until) {
  return wait(changed, mutex, nanoseconds(*until));
}
int pthread_cond_signal(pthread_cond_t* changed) { return notify(changed, "notify one", false); }
int pthread_cond_broadcast(pthread_cond_t* changed) { return notify(changed, "notify all", true); }
int pthread_cond_destroy(pthread_cond_t* changed) {
  if (!world.in_program) return 0;
  const Outside outside;
  for (const Thread& thread : std::span(world.threads).first(world.count)) {
    if (thread.waits_on == changed && !thread.notified)
      world.fail("destroyed while waited for",
                 "A condition variable is destroyed that " + thread.name + " waits for.");
  }
  return 0;
}
// What is static in a function is made anew in each run, and never ends.
int __cxa_atexit(void (*destroy)(void*), void* object, void* library) {
  if (world.in_program) return 0;
  return real<decltype(__cxa_atexit)>("__cxa_atexit")(destroy, object, library);
}

int pthread_rwlock_rdlock(pthread_rwlock_t* mutex) { return lock_shared(mutex, never); }
int pthread_rwlock_wrlock(pthread_rwlock_t* mutex) { return lock_alone(mutex, never); }
int pthread_rwlock_tryrdlock(pthread_rwlock_t* mutex) {
  return lock_shared(mutex, 0) == 0 ? 0 : EBUSY;
}
int pthread_rwlock_trywrlock(pthread_rwlock_t* mutex) {
  return lock_alone(mutex, 0) == 0 ? 0 : EBUSY;
}
int pthread_rwlock_unlock(pthread_rwlock_t* mutex) {
  if (!world.in_program) return 0;
  const Outside outside;
  world.step({"unlock", mutex, nullptr, Step::locks});
  touch(mutex);
  release(*world.current, mutex);
  if (std::exchange(mutex->__data.__cur_writer, 0) == 0) --mutex->__data.__readers;
  return 0;
}

int pthread_create(pthread_t* handle, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) {
  if (!world.in_program)
    return real<decltype(pthread_create)>("pthread_create")(handle, attributes, body, argument);
  const Outside outside;
  if (const int error = world.meets("pthread_create")) {
    world.closing = true;  // the pool fails, and its other workers may leave
    return error;
  }
  world.step({"start", &world.threads[world.count]});
  if (world.luck.threads_not_started > 0 && world.which(2) == 1) {
    --world.luck.threads_not_started;
    world.closing = true;  // the pool fails, and its other workers may leave
    world.was("cannot start");
    return EAGAIN;
  }
  *handle = world.count + 1;
  const bool companion = world.next_name != nullptr;
  world.start(
      companion ? std::exchange(world.next_name, nullptr) : world.name_of(world.count),
      [=, &self = world.threads[world.count]] { self.result = body(argument); },
      companion ? Thread::companion : Thread::worker);
  return 0;
}
int pthread_join(pthread_t handle, void** result) {
  if (!world.in_program) return real<decltype(pthread_join)>("pthread_join")(handle, nullptr);
  const Outside outside;
  Thread& other = thread_of(handle);
  if (&other == world.current) return EDEADLK;
  if (const int error = world.meets("pthread_join")) return error;
  world.step({"join", &other}, [&other] { return other.state == Thread::done; });
  other.state = Thread::joined;
  join_clock(*world.current, other);
  if (result != nullptr) *result = other.result;
  return 0;
}
int pthread_detach(pthread_t handle) {
  if (!world.in_program) return real<decltype(pthread_detach)>("pthread_detach")(handle);
  const Outside outside;
  Thread& other = thread_of(handle);
  world.also({"detach", &other});
  other.detached = true;
  return 0;
}
pthread_t pthread_self() {
  static auto* const usual = real<decltype(pthread_self)>("pthread_self");
  return world.in_program ? static_cast<pthread_t>(me()) : usual();
}

// The story shows it, too.
int pthread_setname_np(pthread_t handle, const char* name) {
  if (!world.in_program)
    return real<decltype(pthread_setname_np)>("pthread_setname_np")(handle, name);
  const Outside outside;
  thread_of(handle).name = name;
  return 0;
}

int sched_yield() {
  if (!world.in_program) return 0;
  const Outside outside;
  if (!world.look(nullptr)) world.step({"yield", nullptr, nullptr, Step::reads});
  return 0;
}

int pthread_once(pthread_once_t* once, void (*routine)()) {
  if (!world.in_program) return real<decltype(pthread_once)>("pthread_once")(once, routine);
  const Outside outside;
#ifdef __GLIBCXX__
  // std::call_once hands its callable over in these, which are thread_local; but not to a fiber.
  auto* const callable = std::__once_callable;
  auto* const call = std::__once_call;
#endif
  enum { fresh, running, done };
  world.step({"call once", once}, [once] { return *once != running; });
  acquire(*world.current, once);
  if (*once == done) return 0;
  *once = running;
#ifdef __GLIBCXX__
  std::__once_callable = callable;
  std::__once_call = call;
#endif
  try {
    world.in_program = true;
    routine();
    world.in_program = false;
  } catch (...) {
    world.in_program = false;
    *once = fresh;
    release(*world.current, once);
    throw;
  }
  *once = done;
  release(*world.current, once);
  return 0;
}

// A static variable of a function, at its first call. Its first byte says that it is there, and the
// second that somebody is making it.
int __cxa_guard_acquire(long long* variable) {
  char* const guard = reinterpret_cast<char*>(variable);
  if (guard[0] != 0) return 0;
  if (!world.in_program) return 1;
  const Outside outside;
  world.step({"make a static", guard}, [guard] { return guard[1] == 0; });
  acquire(*world.current, guard);
  if (guard[0] != 0) return 0;
  guard[1] = 1;
  return 1;
}
void __cxa_guard_release(long long* variable) {
  char* const guard = reinterpret_cast<char*>(variable);
  guard[0] = 1;
  guard[1] = 0;
  if (!world.in_program) return;
  const Outside outside;
  release(*world.current, guard);
  world.also({"static is made", guard});
}
void __cxa_guard_abort(long long* variable) {
  reinterpret_cast<char*>(variable)[1] = 0;
  if (!world.in_program) return;
  const Outside outside;
  release(*world.current, variable);
}

int __cxa_thread_atexit(void (*destroy)(void*), void* object, void* library) {
  if (!world.in_program)
    return real<decltype(__cxa_thread_atexit)>("__cxa_thread_atexit")(destroy, object, library);
  const Outside outside;
  world.current->at_exit.emplace_back(destroy, object);
  return 0;
}
int pthread_setspecific(pthread_key_t key, const void* value) {
  if (!world.in_program)
    return real<decltype(pthread_setspecific)>("pthread_setspecific")(key, value);
  const Outside outside;
  auto& specific = world.current->specific;
  if (specific.size() <= key) specific.resize(key + 1);
  specific[key] = value;
  return 0;
}
void* pthread_getspecific(pthread_key_t key) {
  static auto* const usual = real<decltype(pthread_getspecific)>("pthread_getspecific");
  if (!world.in_program) return usual(key);
  const auto& specific = world.current->specific;
  return key < specific.size() ? const_cast<void*>(specific[key]) : nullptr;
}

int sem_init(sem_t* semaphore, int, unsigned value) {
  *reinterpret_cast<int*>(semaphore) = static_cast<int>(value);
  return 0;
}
int sem_destroy(sem_t*) { return 0; }
int sem_wait(sem_t* semaphore) { return wait(semaphore, never); }
int sem_clockwait(sem_t* semaphore, clockid_t, const timespec* until) {
  return wait(semaphore, nanoseconds(*until));
}
int sem_timedwait(sem_t* semaphore, const timespec* until) {
  return wait(semaphore, nanoseconds(*until));
}
int sem_trywait(sem_t* semaphore) {
  if (wait(semaphore, 0) == 0) return 0;
  errno = EAGAIN;
  return -1;
}
int sem_post(sem_t* semaphore) {
  if (!world.in_program) return 0;
  const Outside outside;
  world.step({"release", semaphore});
  touch(semaphore);
  release(*world.current, semaphore);
  ++*reinterpret_cast<int*>(semaphore);
  return 0;
}

long syscall(long number, ...) {
  std::va_list arguments;
  va_start(arguments, number);
  std::array<long, 6> a{};
  for (long& one : a) one = va_arg(arguments, long);
  va_end(arguments);
  if (world.in_program && number == SYS_futex) {
    return futex(reinterpret_cast<const int*>(a[0]), static_cast<int>(a[1]), static_cast<int>(a[2]),
                 reinterpret_cast<const timespec*>(a[3]));
  }
  static auto* const usual = real<long(long, ...)>("syscall");
  return usual(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int clock_gettime(clockid_t clock, timespec* time) {
  static auto* const usual = real<decltype(clock_gettime)>("clock_gettime");
  if (!world.in_program) return usual(clock, time);
  if (world.any_time) {
    const Outside outside;
    world.step({"look at the clock", &world.now, nullptr, Step::reads});
  }
  *time = {world.now / 1'000'000'000, world.now % 1'000'000'000};
  return 0;
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  if (!world.in_program)
    return real<decltype(clock_nanosleep)>("clock_nanosleep")(clock, flags, time, left);
  const Outside outside;
  if (const int error = world.meets("clock_nanosleep")) {
    if (left != nullptr) *left = *time;
    return error;
  }
  return sleep_until(nanoseconds(*time) + (flags == TIMER_ABSTIME ? 0 : world.now), left);
}
int nanosleep(const timespec* time, timespec* left) {
  const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);
  if (error == 0) return 0;
  errno = error;
  return -1;
}
int usleep(unsigned microseconds) {
  const timespec time{0, microseconds * 1000L};
  return nanosleep(&time, nullptr);
}
unsigned sleep(unsigned seconds) {
  const timespec time{static_cast<time_t>(seconds), 0};
  nanosleep(&time, nullptr);
  return 0;
}

// What the C library's assert() calls: its own abort() is not ours.
void __assert_fail(const char* what, const char* file, unsigned line, const char* function) {
  {
    const Outside outside;
    if (world.current != nullptr)
      world.fail("assertion", world.current->name + " finds that this does not hold: " + what);
  }
  real<void(const char*, const char*, unsigned, const char*)>("__assert_fail")(what, file, line,
                                                                               function);
}

void abort() {
  const Outside outside;
  if (world.current != nullptr) world.fail("abort", world.current->name + " calls abort().");
  real<void()>("abort")();
  __builtin_unreachable();
}
}
