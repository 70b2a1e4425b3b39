#include "log.hpp"

#include "descriptor.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

// How to write to stdout or stderr.
struct Output {
  int fd;
  bool never_waits = false;
  bool is_file = false;     // or /dev/null: threads need not take turns
  bool broken_off = false;  // in the middle of a line; guarded by `turns`
};
std::array<Output, 3> outputs{{{STDIN_FILENO}, {STDOUT_FILENO}, {STDERR_FILENO}}};

// Held while a line is written, for stdout and stderr together: they may be the same pipe. Should a
// write block after all (see Lines::write()), the other threads drop their lines and go on.
std::timed_mutex turns;
constexpr auto patience = 100ms;

std::atomic<std::size_t> dropped = 0;  // log lines, not reported yet

// Lines written by one write(2) of at most PIPE_BUF bytes, which a pipe takes whole or
// not at all.
class Lines {
 public:
  // Truncates a line that does not fit. Only the last one may be that long.
  void add(Parts parts) noexcept {
    for (std::string_view part : parts) {
      part = part.substr(0, text_.size() - size_ - 1);
      std::ranges::copy(part, text_.data() + size_);
      size_ += part.size();
    }
    text_[size_++] = '\n';
  }

  // Reports the lines that log_line() could not write in time.
  void add_dropped(std::size_t count) noexcept {
    add({"Log lines dropped because nobody read stdout: ", Digits(count), "."});
  }

  // Writes what is left. Returns 0 once everything is written, otherwise the errno: EAGAIN if it
  // would have to wait.
  int write(const Output& out) noexcept {
    while (written_ < size_) {
      // For outputs that could not be reopened: a pipe that polls as writable takes PIPE_BUF bytes
      // without blocking (Linux, BSD), unless another process is faster; a terminal may take only
      // part of a line.
      if (!out.never_waits && !wait_ready(out.fd, POLLOUT, Clock::now())) return EAGAIN;
      const ssize_t count = ::write(out.fd, text_.data() + written_, size_ - written_);
      if (count == -1 && errno != EINTR) return errno;
      if (count > 0) written_ += static_cast<std::size_t>(count);
    }
    return 0;
  }

  bool is_broken_off() const noexcept { return written_ > 0 && written_ < size_; }

 private:
  std::array<char, PIPE_BUF> text_;
  std::size_t size_ = 0;
  std::size_t written_ = 0;
};

// Returns 0 or the errno: EAGAIN if it would have to wait, even if only for another thread.
int write_in_turn(Lines& lines, int fd) noexcept {
  Output& out = outputs[static_cast<std::size_t>(fd)];
  if (out.is_file) return lines.write(out);
  // The system clock, because GCC 12's ThreadSanitizer does not know pthread_mutex_clocklock().
  const std::unique_lock turn(turns, std::chrono::system_clock::now() + patience);
  if (!turn) return EAGAIN;
  if (out.broken_off && ::write(out.fd, "\n", 1) == -1) return errno == EINTR ? EAGAIN : errno;
  const int error = lines.write(out);
  out.broken_off = lines.is_broken_off();
  return error;
}

}  // namespace

// O_NONBLOCK belongs to the open file description, which other processes may share. So a terminal
// or pipe is opened again, for this process alone. (Not a file, which would start at offset 0 again
// and never makes a writer wait; nor does /dev/null.)
void prepare_log() noexcept {
  constexpr std::array paths{"/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"};
  for (const std::size_t fd : {1, 2}) {
    struct stat file{};
    Output& out = outputs[fd];
    if (::fstat(out.fd, &file) == -1) continue;
    const bool terminal = ::isatty(out.fd) == 1;
    out.is_file = out.never_waits = S_ISREG(file.st_mode) || (S_ISCHR(file.st_mode) && !terminal);
    if (!terminal && !S_ISFIFO(file.st_mode)) continue;
    const int own = ::open(paths[fd], O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    // This fails if it belongs to another user, as after `su`.
    if (own != -1) out = {.fd = own, .never_waits = true};
  }
}

void print_line(std::string_view line, int interrupt) {
  const Output& out = outputs[STDOUT_FILENO];
  Lines lines;
  lines.add({line});
  while (const int error = lines.write(out)) {
    errno = error;
    if (error != EAGAIN) throw_errno({"cannot write to stdout"});
    if (!wait_ready(out.fd, POLLOUT, Clock::time_point::max(), interrupt)) return;
  }
}

void log_line(Parts parts) noexcept {
  static std::atomic<bool> told = false;
  const std::size_t before = dropped == 0 ? 0 : dropped.exchange(0);
  Lines lines;
  if (before > 0) lines.add_dropped(before);
  lines.add(parts);
  const int error = write_in_turn(lines, STDOUT_FILENO);
  if (error != 0) dropped += before;
  if (error == EAGAIN) {
    ++dropped;
  } else if (error != 0 && !told.exchange(true)) {
    warn_line({"cannot write to stdout: ", std::strerror(error), ". Further log lines are lost."});
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
