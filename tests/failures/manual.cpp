#include "failures.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>

namespace failures {

std::span<const Call> manual() {
  static const std::vector<Call> all{
      {"accept4", "accept4", EMFILE, {EAGAIN,    EBADF,           ECONNABORTED,    EFAULT,
                                      EHOSTDOWN, EHOSTUNREACH,    EINTR,           EINVAL,
                                      EMFILE,    ENETDOWN,        ENETUNREACH,     ENFILE,
                                      ENOBUFS,   ENOMEM,          ENONET,          ENOPROTOOPT,
                                      ENOSR,     ENOTSOCK,        EOPNOTSUPP,      EPERM,
                                      EPROTO,    EPROTONOSUPPORT, ESOCKTNOSUPPORT, ETIMEDOUT}},
      {"access",
       "access faccessat2",
       EACCES,
       {EACCES, EBADF, EFAULT, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM,
        EROFS, ETXTBSY}},
      {"bind", "bind", EADDRINUSE, {EACCES,       EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF,
                                    EDESTADDRREQ, EFAULT,     EINVAL,        EIO,          EISCONN,
                                    EISDIR,       ELOOP,      ENAMETOOLONG,  ENOBUFS,      ENOENT,
                                    ENOMEM,       ENOTDIR,    ENOTSOCK,      EOPNOTSUPP,   EROFS}},
      {"clock_nanosleep", "clock_nanosleep", EINTR, {EFAULT, EINTR, EINVAL, ENOTSUP}},
      {"close", "close", EIO, {EBADF, EDQUOT, EINTR, EIO, ENOSPC}},
      {"fcntl",
       "fcntl",
       EINVAL,
       {EACCES, EAGAIN, EBADF, EBUSY, EDEADLK, EFAULT, EINTR, EINVAL, EMFILE, ENOLCK, ENOTDIR,
        EPERM}},
      {"fstat",
       "newfstatat fstat",
       ENOMEM,
       {EACCES, EBADF, EFAULT, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR,
        EOVERFLOW}},
      {"getsockname",
       "getsockname",
       ENOBUFS,
       {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK, EOPNOTSUPP}},
      {"isatty", "ioctl", EINVAL, {EBADF, EINVAL, ENOTTY}},
      {"listen",
       "listen",
       EADDRINUSE,
       {EACCES, EADDRINUSE, EBADF, EDESTADDRREQ, EINVAL, ENOBUFS, ENOTSOCK, EOPNOTSUPP}},
      {"malloc", "brk mmap munmap mprotect madvise mremap", ENOMEM, {ENOMEM}},
      {"open",
       "openat open",
       EMFILE,
       {EACCES,  EBADF, EBUSY,      EDQUOT,       EEXIST, EFAULT, EFBIG,   EINTR,      EINVAL,
        EISDIR,  ELOOP, EMFILE,     ENAMETOOLONG, ENFILE, ENODEV, ENOENT,  ENOMEM,     ENOSPC,
        ENOTDIR, ENXIO, EOPNOTSUPP, EOVERFLOW,    EPERM,  EROFS,  ETXTBSY, EWOULDBLOCK}},
      {"pipe2", "pipe2 pipe", ENFILE, {EFAULT, EINVAL, EMFILE, ENFILE, ENOPKG}},
      {"poll", "poll", ENOMEM, {EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM}},
      {"pread",
       "pread64",
       EIO,
       {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENOBUFS, ENOMEM, ENXIO, EOVERFLOW,
        ESPIPE}},
      {"pthread_create", "clone clone3", EAGAIN, {EAGAIN, EINVAL, EPERM}},
      {"pthread_sigmask", "rt_sigprocmask", EINVAL, {EFAULT, EINVAL}},
      {"read",
       "read",
       EIO,
       {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENOBUFS, ENOMEM, ENXIO, EOVERFLOW}},
      {"recv",
       "recvfrom",
       ECONNRESET,
       {EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, EIO, ENOBUFS, ENOMEM,
        ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE, ETIMEDOUT}},
      {"send", "sendto", EPIPE, {EACCES,       EAGAIN,   EALREADY, EBADF,       ECONNRESET,
                                 EDESTADDRREQ, EFAULT,   EINTR,    EINVAL,      EIO,
                                 EISCONN,      EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS,
                                 ENOMEM,       ENOTCONN, ENOTSOCK, EOPNOTSUPP,  EPIPE,
                                 ETIMEDOUT}},
      {"setsockopt",
       "setsockopt",
       EPERM,
       {EBADF, EDOM, EFAULT, EINVAL, EISCONN, ENOBUFS, ENODEV, ENOMEM, ENOPROTOOPT, ENOTSOCK,
        EPERM}},
      {"shutdown", "shutdown", ENOTCONN, {EBADF, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK}},
      {"sigaction", "rt_sigaction", EINVAL, {EFAULT, EINVAL}},
      {"socket",
       "socket",
       EMFILE,
       {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT,
        EPROTOTYPE}},
      {"write",
       "write",
       EIO,
       {EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENETDOWN,
        ENETUNREACH, ENOBUFS, ENOMEM, ENOSPC, ENXIO, EPERM, EPIPE, ERANGE}},
  };
  return all;
}

const Call* find_call(std::string_view name) {
  const auto found =
      std::ranges::find_if(manual(), [&](const Call& call) { return name == call.name; });
  return found == manual().end() ? nullptr : &*found;
}

bool passes(const Point& point) {
  const auto is_one_of = [&](std::initializer_list<int> errors) {
    return std::ranges::find(errors, point.error) != errors.end();
  };
  return point.call == "accept4" ? !is_one_of({EBADF, EFAULT, EINVAL, ENOTSOCK})
                                 : is_one_of({EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM});
}

bool is_optional(std::string_view call) {
  constexpr std::array calls{"close", "fstat", "isatty",     "open",     "pread",
                             "recv",  "send",  "setsockopt", "shutdown", "write"};
  return std::ranges::count(calls, call) > 0;
}

bool may_cost_own(std::string_view call) {
  constexpr std::array calls{"malloc", "poll", "recv", "send"};
  return std::ranges::count(calls, call) > 0;
}

std::span<const Spared> spared() {
  static const std::vector<Spared> all{
      {"alarm", "cannot fail"},
      {"arch_prctl", "of the C library's start, before main()"},
      {"clock_gettime", "cannot fail for the clocks that are asked"},
      {"execve", "is what starts the server"},
      {"exit", "does not return"},
      {"exit_group", "does not return"},
      {"futex",
       "waits and wakes for mutexes and condition variables, which have no error that is "
       "not a mistake"},
      {"getpid", "cannot fail"},
      {"getrandom", "of the C library's start, before main()"},
      {"gettid", "cannot fail"},
      {"lseek", "of the file with the time zone, which gmtime_r() reads once, and can do without"},
      {"prlimit64", "of the C library's start, before main()"},
      {"restart_syscall", "is how the kernel goes on with a wait that a stop has interrupted"},
      {"rseq", "of a thread's start; the C library does without"},
      {"rt_sigreturn", "is the end of a signal's handler"},
      {"set_robust_list", "of a thread's start; the C library does without"},
      {"set_tid_address", "of the C library's start, cannot fail"},
      {"tgkill", "is how abort() raises its signal"},
  };
  return all;
}

}  // namespace failures
