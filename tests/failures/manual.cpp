#include "failures.hpp"

#include <algorithm>
#include <cerrno>

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
      {"bind",
       "bind",
       EADDRINUSE,
       {EACCES, EADDRINUSE, EADDRNOTAVAIL, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOBUFS,
        ENOENT, ENOMEM, ENOTDIR, ENOTSOCK, EROFS}},
      {"clock_nanosleep", "clock_nanosleep", EINTR, {EINTR}},
      {"close", "close", EIO, {EBADF, EDQUOT, EINTR, EIO, ENOSPC}},
      {"fcntl", "fcntl", EINVAL, {EACCES, EAGAIN, EBADF, EINTR, EINVAL, EPERM}},
      {"fstat", "newfstatat fstat", ENOMEM, {EBADF, EFAULT, EIO, ENOMEM, EOVERFLOW}},
      {"getsockname", "getsockname", ENOBUFS, {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK}},
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
        ENOTCONN, ENOTSOCK, EOPNOTSUPP, ETIMEDOUT}},
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
       {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT}},
      {"write",
       "write",
       EIO,
       {EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENETDOWN,
        ENETUNREACH, ENOBUFS, ENOSPC, ENXIO, EPERM, EPIPE, ERANGE}},
  };
  return all;
}

const Call* find_call(std::string_view name) {
  const auto found =
      std::ranges::find_if(manual(), [&](const Call& call) { return name == call.name; });
  return found == manual().end() ? nullptr : &*found;
}

std::span<const Spared> spared() {
  static const std::vector<Spared> all{
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
