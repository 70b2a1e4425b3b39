#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>

using Clock = std::chrono::steady_clock;

// Throws std::system_error with the errno of the call that has just failed, and with what was being
// done: throw_errno({"cannot read ", path}). Takes parts, because to join them first could change
// errno: C lets any call do that, also one that succeeds (C17 §7.5).
[[noreturn]] void throw_errno(std::initializer_list<std::string_view> doing);

// Owns one descriptor and closes it: Rust's OwnedFd.
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
// closes it in a program that this one turns into (FD_CLOEXEC). Throws std::system_error.
void set_nonblocking_and_cloexec(int fd);

// If the kernel had no memory for a call (ENOMEM, ENOBUFS), pauses, and returns true: that passes,
// and is no client's fault. Leaves errno as it was.
bool pause_if_short(int error) noexcept;

// poll(2), also where a signal interrupts it: waits until `fd` is ready for `events` (POLLIN,
// POLLOUT): true. False once `deadline` has passed, or as soon as `interrupt` can be read, and -1
// never can. A deadline of now only looks. If poll(2) fails, pauses, and returns true: whoever then
// tries `fd` is told what is wrong, or waits again.
bool wait_ready(int fd, short events, Clock::time_point deadline, int interrupt = -1) noexcept;

// How to wait until `fd` can be read: true when it can, false once `deadline` has passed.
using Wait = std::function<bool(int fd, Clock::time_point deadline)>;

// As wait_ready(), for POLLIN. But after the deadline it does not even look, so that a loop of
// waiting and reading ends, however much comes.
bool wait_readable_unless(int fd, Clock::time_point deadline, int interrupt);

// The plain way.
inline bool wait_readable(int fd, Clock::time_point deadline) {
  return wait_readable_unless(fd, deadline, -1);
}
