// What explore knows nothing of, by name: a run that comes to it ends there, and says so, where it
// would wait for ever. Under a name of ours each, since their headers say what they take.

#include "world.hpp"

#include <dlfcn.h>

namespace {

// Outside of a run it is the C library's own: an std::ofstream of ours calls writev(). None of
// these takes more than six arguments, and each of them fits into a long.
long not_simulated(const char* name, long a, long b, long c, long d, long e, long f) {
  using explore::world;
  if (world.in_program) {
    const explore::Outside outside;
    world.fail("not simulated", std::string("explore does not simulate ") + name + "().");
  }
  using Function = long(long, long, long, long, long, long);
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name))(a, b, c, d, e, f);
}

}  // namespace

// NOLINTBEGIN
#define NOT_SIMULATED(NAME)                                              \
  long explored_##NAME(long, long, long, long, long, long) asm(#NAME);   \
  long explored_##NAME(long a, long b, long c, long d, long e, long f) { \
    return not_simulated(#NAME, a, b, c, d, e, f);                       \
  }
NOT_SIMULATED(pthread_barrier_wait)
NOT_SIMULATED(pthread_cancel)
NOT_SIMULATED(pthread_exit)
NOT_SIMULATED(pthread_getattr_np)
NOT_SIMULATED(pthread_getname_np)
NOT_SIMULATED(pthread_setaffinity_np)
NOT_SIMULATED(pthread_setschedparam)
NOT_SIMULATED(pthread_kill)
NOT_SIMULATED(pthread_spin_lock)
NOT_SIMULATED(pthread_spin_trylock)
NOT_SIMULATED(pthread_timedjoin_np)
NOT_SIMULATED(pthread_tryjoin_np)
NOT_SIMULATED(pthread_clockjoin_np)
NOT_SIMULATED(pthread_rwlock_timedrdlock)
NOT_SIMULATED(pthread_rwlock_timedwrlock)
NOT_SIMULATED(pthread_rwlock_clockrdlock)
NOT_SIMULATED(pthread_rwlock_clockwrlock)
NOT_SIMULATED(thrd_create)
NOT_SIMULATED(mtx_lock)
NOT_SIMULATED(mtx_timedlock)
NOT_SIMULATED(cnd_wait)
NOT_SIMULATED(cnd_timedwait)
NOT_SIMULATED(fork)
NOT_SIMULATED(vfork)
NOT_SIMULATED(sigwait)
NOT_SIMULATED(sigwaitinfo)
NOT_SIMULATED(sigsuspend)
NOT_SIMULATED(pause)
NOT_SIMULATED(select)
NOT_SIMULATED(epoll_wait)
NOT_SIMULATED(ppoll)
NOT_SIMULATED(recvfrom)
NOT_SIMULATED(recvmsg)
NOT_SIMULATED(sendto)
NOT_SIMULATED(sendmsg)
NOT_SIMULATED(readv)
NOT_SIMULATED(writev)
NOT_SIMULATED(dup)
NOT_SIMULATED(dup2)
NOT_SIMULATED(dup3)
NOT_SIMULATED(socketpair)
NOT_SIMULATED(getpeername)
NOT_SIMULATED(epoll_create1)
NOT_SIMULATED(epoll_ctl)
NOT_SIMULATED(eventfd)
NOT_SIMULATED(signalfd)
NOT_SIMULATED(timerfd_create)
NOT_SIMULATED(sendfile)
NOT_SIMULATED(splice)
NOT_SIMULATED(sigtimedwait)
// NOLINTEND
