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
  bool is_file = false;     // or /dev/null: no thread needs a turn
  bool broken_off = false;  // in the middle of a line; guarded by `turns`
};
std::array<Output, 3> outputs{{{STDIN_FILENO}, {STDOUT_FILENO}, {STDERR_FILENO}}};

// One line at a time, on stdout and stderr together: they may be the same pipe. Where a write may
// wait after all (see has_room()), the other threads drop their lines and go on.
std::timed_mutex turns;
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

// For what cannot be opened once more. A pipe that has room takes PIPE_BUF bytes without waiting
// (POSIX), unless another process is faster; a terminal takes perhaps a part of a line.
bool has_room(int fd) noexcept {
  pollfd output{.fd = fd, .events = POLLOUT, .revents = 0};
  int count = 0;
  do
    count = ::poll(&output, 1, 0);
  while (count == -1 && errno == EINTR);
  return count == 1;
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

  // Returns 0, or the errno; EAGAIN if it would have to wait. Then `broken_off` says whether it
  // ended in the middle of a line.
  int write(const Output& out, bool& broken_off) const noexcept {
    std::string_view rest(text_.data(), size_);
    broken_off = false;
    while (!rest.empty()) {
      if (!out.never_waits && !has_room(out.fd)) return EAGAIN;
      const ssize_t count = write_some(out.fd, rest);
      if (count == -1) return errno;
      rest.remove_prefix(static_cast<std::size_t>(count));
      broken_off = !rest.empty();
    }
    return 0;
  }

 private:
  std::array<char, PIPE_BUF> text_;
  std::size_t size_ = 0;
};

// Returns 0, or the errno; EAGAIN if it would have to wait, also for the other threads.
int write_in_turn(const Lines& lines, int fd) noexcept {
  Output& out = outputs[static_cast<std::size_t>(fd)];
  bool ignored = false;
  if (out.is_file) return lines.write(out, ignored);
  // By the system's clock, since ThreadSanitizer of GCC 12 does not know the other way to lock.
  const std::unique_lock turn(turns, std::chrono::system_clock::now() + patience);
  if (!turn) return EAGAIN;
  if (out.broken_off && write_some(out.fd, "\n") == -1) return errno;
  return lines.write(out, out.broken_off);
}

}  // namespace

// O_NONBLOCK belongs to the open file, and so to everybody else who writes to this terminal or
// pipe. So it is opened once more, for us alone. (Not a file: that would begin at its start again;
// it never makes a writer wait, nor does /dev/null.)
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
    if (own != -1)
      out = {.fd = own, .never_waits = true};  // else it is another user's, as after `su`
  }
}

void print_line(std::string_view line, int interrupt) {
  const std::string text = std::string(line) + '\n';
  const Output out = outputs[STDOUT_FILENO];
  for (std::string_view rest = text; !rest.empty();) {
    const bool now = out.never_waits || has_room(out.fd);
    errno = EAGAIN;
    const ssize_t count = now ? write_some(out.fd, rest) : -1;
    if (count >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EAGAIN) {
      throw_errno({"cannot write to stdout"});
    } else {
      std::array<pollfd, 2> fds{{{.fd = out.fd, .events = POLLOUT, .revents = 0},
                                 {.fd = interrupt, .events = POLLIN, .revents = 0}}};
      if (::poll(fds.data(), fds.size(), -1) == -1 && errno != EINTR) throw_errno({"cannot wait"});
      if (fds[0].revents == 0 && fds[1].revents != 0) return;
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
  if (error != 0) dropped += before;
  if (error == EAGAIN) {
    ++dropped;
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
