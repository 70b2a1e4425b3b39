#include "log.hpp"

#include "error.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <mutex>
#include <string>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

// One line at a time, on stdout and stderr together: they may be the same pipe, and the room that
// poll() has seen must still be there for write(). No thread holds it while it waits, unless
// another process fills the pipe in that very moment; then the other threads drop their lines.
std::timed_mutex output;
constexpr auto patience = 100ms;

std::atomic<std::size_t> dropped = 0;  // log lines, of which nobody has been told yet

// write(2), again if a signal has interrupted it. Returns the bytes written; -1: errno says why.
ssize_t write_some(int fd, std::string_view text) noexcept {
  ssize_t count = 0;
  do
    count = ::write(fd, text.data(), text.size());
  while (count == -1 && errno == EINTR);
  return count;
}

// For a pipe: at least PIPE_BUF bytes can be written without waiting (POSIX). O_NONBLOCK would do
// as well, but it belongs to the open file, and so to everybody else who writes to this terminal.
bool has_room(int fd) noexcept {
  pollfd output{.fd = fd, .events = POLLOUT, .revents = 0};
  int count = 0;
  do
    count = ::poll(&output, 1, 0);
  while (count == -1 && errno == EINTR);
  return count == 1;
}

// A file, or /dev/null, never makes a writer wait, so there the threads need no turns either.
bool stdout_can_wait() noexcept {
  static const bool answer = [] {
    struct stat file{};
    return ::fstat(STDOUT_FILENO, &file) == -1 || S_ISFIFO(file.st_mode) ||
           S_ISSOCK(file.st_mode) || ::isatty(STDOUT_FILENO) == 1;
  }();
  return answer;
}

// Lines that are written together, by one write(2) of at most PIPE_BUF bytes, which a pipe takes
// whole or not at all.
class Lines {
 public:
  // A line that does not fit is cut. Only the last one may be that long.
  void add(Parts parts) noexcept {
    for (std::string_view part : parts) {
      part = part.substr(0, text_.size() - size_ - 1);
      std::ranges::copy(part, text_.data() + size_);
      size_ += part.size();
    }
    text_[size_++] = '\n';
  }

  // What log_line() could not write in time.
  void add_dropped(std::size_t count) noexcept {
    add({"Log lines dropped, since nobody read stdout: ", Digits(count), "."});
  }

  // Returns 0, or the errno; EAGAIN if it would have to wait, where that can be.
  int write(int fd, bool can_wait) const noexcept {
    for (std::string_view rest(text_.data(), size_); !rest.empty();) {
      if (can_wait && !has_room(fd)) return EAGAIN;
      const ssize_t count = write_some(fd, rest);
      if (count == -1) return errno;
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
    return 0;
  }

 private:
  std::array<char, PIPE_BUF> text_;
  std::size_t size_ = 0;
};

// Returns 0, or the errno; EAGAIN if it would have to wait, also for the other threads.
int write_in_turn(const Lines& lines, int fd) noexcept {
  if (fd == STDOUT_FILENO && !stdout_can_wait()) return lines.write(fd, false);
  // By the system's clock, since ThreadSanitizer of GCC 12 does not know the other way to lock.
  const std::unique_lock turn(output, std::chrono::system_clock::now() + patience);
  return turn ? lines.write(fd, true) : EAGAIN;
}

}  // namespace

void print_line(std::string_view line) {
  const std::string text = std::string(line) + '\n';
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t count = write_some(STDOUT_FILENO, rest);
    if (count >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EAGAIN) {  // whoever shares it with us may have made it non-blocking
      throw_errno({"cannot write to stdout"});
    } else {
      pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
      if (::poll(&out, 1, -1) == -1 && errno != EINTR) throw_errno({"cannot wait"});
    }
  }
}

void log_line(Parts parts) noexcept {
  static std::atomic<bool> told = false;
  const std::size_t before = dropped == 0 ? 0 : dropped.exchange(0);
  Lines lines;
  if (before > 0) lines.add_dropped(before);
  lines.add(parts);
  const int error = write_in_turn(lines, STDOUT_FILENO);
  if (error == EAGAIN) {
    dropped += before + 1;
  } else if (error != 0 && !told.exchange(true)) {
    warn_line({"cannot write to stdout: ", std::strerror(error), ". Log lines are lost."});
  }
}

void warn_of_dropped_lines() noexcept {
  Lines lines;
  if (const std::size_t count = dropped.exchange(0)) {
    lines.add_dropped(count);
    write_in_turn(lines, STDERR_FILENO);
  }
}

void warn_line(Parts parts) noexcept {
  Lines lines;
  lines.add(parts);
  write_in_turn(lines, STDERR_FILENO);
}
