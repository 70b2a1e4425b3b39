#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>

using Clock = std::chrono::steady_clock;

// Throws std::system_error with the errno of the call that has just failed, and with what it was
// for: throw_errno({"cannot read ", path}). Takes parts, because joining them first could change
// errno: in C any library function may, even one that succeeds (C17 §7.5).
[[noreturn]] void throw_errno(std::initializer_list<std::string_view> doing);

// Owns one file descriptor and closes it: Rust's OwnedFd.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();

  int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

// Makes reads, writes and accepts on `fd` fail with EAGAIN instead of waiting (O_NONBLOCK), and
// has execve(2) close it (FD_CLOEXEC). Throws std::system_error.
void set_nonblocking_and_cloexec(int fd);

// If `error` says that the kernel is short of memory (ENOMEM, ENOBUFS), pauses for 10 ms and
// returns true: the shortage is temporary, and no client's doing. Leaves `error` in errno.
bool pause_if_short(int error) noexcept;

// poll(2), restarted after a signal. True once `fd` is ready for `events` (POLLIN, POLLOUT), false
// once `deadline` has passed or `interrupt` (-1: none) is readable. A deadline of now only checks.
// If poll(2) fails, pauses for 10 ms and returns true: the caller's next call on `fd` then reports
// what is wrong, or has to wait again.
bool wait_ready(int fd, short events, Clock::time_point deadline, int interrupt = -1) noexcept;

// How to wait until `fd` is readable: true when it is, false once `deadline` has passed.
using Wait = std::function<bool(int fd, Clock::time_point deadline)>;

// wait_ready() for POLLIN, except that after the deadline it does not even check, so that a loop of
// waits and reads ends, however much arrives.
bool wait_readable_unless(int fd, Clock::time_point deadline, int interrupt);

// The plain Wait, without an interrupt.
inline bool wait_readable(int fd, Clock::time_point deadline) {
  return wait_readable_unless(fd, deadline, -1);
}
