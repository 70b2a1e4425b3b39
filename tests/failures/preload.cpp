// Preloaded into a server (ld.so(8), LD_PRELOAD): counts its calls, and makes one of them fail. For
// what only the real kernel shows. No privilege is needed.

#include "shared.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// glibc's heap: dlsym() may ask for memory, and would be led here again.
extern "C" void* __libc_malloc(std::size_t);

namespace {

using failures::call_names;
using failures::Shared;

Shared* shared = nullptr;
std::array<void*, call_names.size()> usual;

consteval std::size_t index_of(std::string_view name) {
  for (std::size_t i = 0; i < call_names.size(); ++i) {
    if (name == call_names[i]) return i;
  }
  throw "no such call";
}

// The error that this call is to fail with, or 0.
int meets(std::size_t call) {
  if (shared == nullptr) return 0;
  const int number = ++shared->made[call];
  const int after = number - shared->number;
  if (static_cast<int>(call) != shared->call || after < 0 || after >= shared->times) return 0;
  shared->met_in_main = ::gettid() == ::getpid();
  shared->met_serving = shared->accepted > 0;
  shared->met = true;
  return shared->error;
}

template <typename Function>
Function* real(std::size_t call) {
  if (usual[call] == nullptr) usual[call] = ::dlsym(RTLD_NEXT, call_names[call]);
  return reinterpret_cast<Function*>(usual[call]);
}

// Makes the call, or fails as those do that return -1.
template <typename Function, typename... Arguments>
auto make(std::size_t call, Arguments... arguments) {
  using Returned = decltype(real<Function>(call)(arguments...));
  if (const int error = meets(call)) {
    errno = error;
    return Returned{-1};
  }
  return real<Function>(call)(arguments...);
}

// Just before the program's own code. All addresses are looked up here: dlsym() takes a lock, and a
// signal's handler makes calls as well.
[[gnu::constructor]] void begin() {
  for (std::size_t i = 0; i < call_names.size(); ++i) usual[i] = ::dlsym(RTLD_NEXT, call_names[i]);
  const char* const path = std::getenv(failures::shared_variable);
  const int fd = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
  void* const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) ::_exit(125);
  ::close(fd);
  shared = static_cast<Shared*>(memory);
  shared->loaded = true;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) {
  if (const int error = meets(index_of("malloc"))) {
    errno = error;
    return nullptr;
  }
  return __libc_malloc(size);
}

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  const int made = make<decltype(accept4)>(index_of("accept4"), fd, address, size, flags);
  if (made != -1 && shared != nullptr) ++shared->accepted;
  return made;
}
int access(const char* path, int mode) noexcept {
  return make<decltype(access)>(index_of("access"), path, mode);
}
int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  return make<decltype(bind)>(index_of("bind"), fd, address, size);
}
// It has closed the descriptor also if it fails (close(2)).
int close(int fd) {
  const int error = meets(index_of("close"));
  const int result = real<decltype(close)>(index_of("close"))(fd);
  if (error == 0) return result;
  errno = error;
  return -1;
}
int fstat(int fd, struct stat* about) noexcept {
  return make<int(int, struct stat*)>(index_of("fstat"), fd, about);
}
int fstat64(int fd, struct stat64* about) noexcept {
  return make<int(int, struct stat64*)>(index_of("fstat"), fd, about);
}
int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  return make<decltype(getsockname)>(index_of("getsockname"), fd, address, size);
}
int isatty(int fd) noexcept {
  const int error = meets(index_of("isatty"));
  if (error == 0) return real<decltype(isatty)>(index_of("isatty"))(fd);
  errno = error;
  return 0;
}
int listen(int fd, int backlog) noexcept {
  return make<decltype(listen)>(index_of("listen"), fd, backlog);
}
int pipe2(int* fds, int flags) noexcept {
  return make<decltype(pipe2)>(index_of("pipe2"), fds, flags);
}
int pipe(int* fds) noexcept { return pipe2(fds, 0); }
int poll(pollfd* fds, nfds_t count, int timeout) {
  return make<decltype(poll)>(index_of("poll"), fds, count, timeout);
}
ssize_t pread(int fd, void* buffer, std::size_t size, off_t at) {
  return make<decltype(pread)>(index_of("pread"), fd, buffer, size, at);
}
ssize_t pread64(int fd, void* buffer, std::size_t size, off64_t at) {
  return pread(fd, buffer, size, at);
}
ssize_t read(int fd, void* buffer, std::size_t size) {
  return make<decltype(read)>(index_of("read"), fd, buffer, size);
}
ssize_t recv(int fd, void* buffer, std::size_t size, int flags) {
  return make<decltype(recv)>(index_of("recv"), fd, buffer, size, flags);
}
ssize_t send(int fd, const void* bytes, std::size_t size, int flags) {
  return make<decltype(send)>(index_of("send"), fd, bytes, size, flags);
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  return make<decltype(setsockopt)>(index_of("setsockopt"), fd, level, name, value, size);
}
int shutdown(int fd, int how) noexcept {
  return make<decltype(shutdown)>(index_of("shutdown"), fd, how);
}
int socket(int domain, int type, int protocol) noexcept {
  return make<decltype(socket)>(index_of("socket"), domain, type, protocol);
}
ssize_t write(int fd, const void* bytes, std::size_t size) {
  return make<decltype(write)>(index_of("write"), fd, bytes, size);
}

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return make<int(const char*, int, ...)>(index_of("open"), path, flags, mode);
}
int open64(const char* path, int flags, ...) { return open(path, flags); }  // none is created

int fcntl(int fd, int command, ...) {
  std::va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return make<int(int, int, ...)>(index_of("fcntl"), fd, command, argument);
}
int fcntl64(int fd, int command, ...) {
  std::va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return fcntl(fd, command, argument);
}

int sigaction(int signal, const struct sigaction* action, struct sigaction* before) noexcept {
  using Function = int(int, const struct sigaction*, struct sigaction*);
  return make<Function>(index_of("sigaction"), signal, action, before);
}
sighandler_t signal(int signal, sighandler_t handler) noexcept {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(signal, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

// These return the error.
int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  const int error = meets(index_of("clock_nanosleep"));
  if (error != 0 && left != nullptr) *left = *time;
  return error != 0 ? error
                    : real<decltype(clock_nanosleep)>(index_of("clock_nanosleep"))(clock, flags,
                                                                                   time, left);
}
int nanosleep(const timespec* time, timespec* left) {
  const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);
  if (error == 0) return 0;
  errno = error;
  return -1;
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) {
  const int error = meets(index_of("pthread_create"));
  return error != 0 ? error
                    : real<decltype(pthread_create)>(index_of("pthread_create"))(thread, attributes,
                                                                                 body, argument);
}
int pthread_sigmask(int how, const sigset_t* set, sigset_t* before) noexcept {
  const int error = meets(index_of("pthread_sigmask"));
  return error != 0 ? error
                    : real<int(int, const sigset_t*, sigset_t*)>(index_of("pthread_sigmask"))(
                          how, set, before);
}

// What these become where _FORTIFY_SOURCE is usual, as in Ubuntu.
int __poll_chk(pollfd* fds, nfds_t count, int timeout, std::size_t) {
  return poll(fds, count, timeout);
}
ssize_t __pread64_chk(int fd, void* buffer, std::size_t size, off64_t at, std::size_t) {
  return pread(fd, buffer, size, at);
}
ssize_t __read_chk(int fd, void* buffer, std::size_t size, std::size_t) {
  return read(fd, buffer, size);
}
ssize_t __recv_chk(int fd, void* buffer, std::size_t size, std::size_t, int flags) {
  return recv(fd, buffer, size, flags);
}
}
