#include "log.hpp"

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

#include <unistd.h>

namespace {

// One write() for the whole line, unless that takes only a part of it. Returns 0, or its errno.
int write_line(int fd, std::string_view text) {
  std::string line;
  line.reserve(text.size() + 1);
  line += text;
  line += '\n';
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t count = ::write(fd, rest.data(), rest.size());
    if (count >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void print_line(std::string_view line) {
  if (const int error = write_line(STDOUT_FILENO, line)) {
    throw std::system_error(error, std::generic_category(), "cannot write to stdout");
  }
}

void log_line(std::string_view line) noexcept {
  static std::atomic<bool> told = false;
  const int error = write_line(STDOUT_FILENO, line);
  if (error != 0 && !told.exchange(true)) {
    warn_line("cannot write to stdout: " + std::generic_category().message(error) +
              ". Log lines are lost.");
  }
}

void warn_line(std::string_view line) noexcept {
  write_line(STDERR_FILENO, line);
}
