#include "descriptor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

void throw_errno(std::initializer_list<std::string_view> doing) {
  const int error = errno;
  std::string text;
  for (const std::string_view part : doing) text += part;
  throw std::system_error(error, std::generic_category(), text);
}

FileDescriptor::~FileDescriptor() {
  if (fd_ != -1) ::close(fd_);
}

void set_nonblocking_and_cloexec(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags == -1 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
    throw_errno({"cannot configure a file descriptor"});
  }
}

bool pause_if_short(int error) noexcept {
  const bool is_short = error == ENOMEM || error == ENOBUFS;
  if (is_short) ::poll(nullptr, 0, 10);
  errno = error;
  return is_short;
}

bool wait_ready(int fd, short events, Clock::time_point deadline, int interrupt) noexcept {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    const auto timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
    std::array<pollfd, 2> fds{{{.fd = fd, .events = events, .revents = 0},
                               {.fd = interrupt, .events = POLLIN, .revents = 0}}};
    const int count = ::poll(fds.data(), interrupt == -1 ? 1 : 2, timeout);
    if (count > 0) return fds[0].revents != 0;
    if (count == -1 && errno != EINTR) break;
    if (Clock::now() >= deadline) return false;
  }
  std::this_thread::sleep_for(
      std::chrono::milliseconds(10));  // or a caller that tries again would spin
  return true;
}

bool wait_readable_unless(int fd, Clock::time_point deadline, int interrupt) {
  return Clock::now() < deadline && wait_ready(fd, POLLIN, deadline, interrupt);
}
