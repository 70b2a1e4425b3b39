#include "terminal.hpp"

#include "tests/harness/cli.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <system_error>
#include <termios.h>
#include <utility>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace {

// The other screen, and no cursor; and back (xterm's private modes 1049 and 25).
constexpr std::string_view enter = "\033[?1049h\033[?25l\033[2J";
constexpr std::string_view leave = "\033[m\033[?25h\033[?1049l";

termios usual{};  // as it was
volatile std::sig_atomic_t is_ours = 0;
volatile std::sig_atomic_t was_stopped = 0;

// Both are safe in a handler. What fails here fails for good: there is no other terminal.
void restore() {
  if (is_ours == 0) return;
  is_ours = 0;
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, leave.data(), leave.size());
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
}

// Of a crash, or of a signal that nobody expects.
extern "C" void on_death(int signal) {
  restore();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// Somebody may have stopped us, and the shell has had the terminal meanwhile.
extern "C" void on_continue(int) { was_stopped = 1; }

void take_over() {
  termios raw = usual;
  ::cfmakeraw(&raw);
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == -1)  // keys pressed before count
    throw std::system_error(errno, std::generic_category(), "cannot set up the terminal");
  is_ours = 1;
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count == -1 && errno != EINTR && errno != EAGAIN) return;  // gone: read_keys() tells
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string redraw(const std::vector<Line>& before, const std::vector<Line>& after, bool colour) {
  std::string text;
  for (std::size_t row = 0; row < after.size(); ++row) {
    const std::string line = after[row].text(colour);
    if (row < before.size() && before[row].text(colour) == line) continue;
    text += "\033[" + std::to_string(row + 1) + "H\033[K" + line;
  }
  return text;
}

Size terminal_size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

Terminal::Terminal() : size_(terminal_size()), colour_(use_colour(STDOUT_FILENO)) {
  if (::tcgetattr(STDIN_FILENO, &usual) == -1)
    throw std::system_error(errno, std::generic_category(), "there is no terminal");
  take_over();
  write_all(enter);
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGUSR1, SIGUSR2, SIGALRM})
    std::signal(signal, on_death);
  std::signal(SIGCONT, on_continue);
}

Terminal::~Terminal() { restore(); }

namespace {

// The end of the sequence that begins at `at` with an escape: of an arrow or a function key, as
// "\033[A", "\033[15~", "\033OP" (ECMA-48 §5.4), and "\033[[C" of the Linux console. npos: it is
// not all there.
std::size_t end_of_sequence(std::string_view keys, std::size_t at) {
  constexpr std::size_t missing = std::string_view::npos;
  const std::string_view rest = keys.substr(at + 1);
  if (rest.empty()) return missing;
  if (const std::size_t length = rest.starts_with("[[") ? 4 : rest.front() == 'O' ? 3 : 0)
    return at + length <= keys.size() ? at + length : missing;
  if (rest.front() != '[') return at + 1;  // the key Esc, and then another one
  const auto last =
      std::ranges::find_if(rest.substr(1), [](char c) { return c >= '@' && c <= '~'; });
  return last == rest.end() ? missing : static_cast<std::size_t>(last - keys.begin()) + 1;
}

}  // namespace

std::string Terminal::read_keys() {
  std::string found = std::exchange(unfinished_, "");
  const bool had_escape = found == "\033";
  std::array<char, 256> part{};
  pollfd ready{STDIN_FILENO, POLLIN, 0};
  while (!gone_ && ::poll(&ready, 1, 0) == 1) {
    const ssize_t count = ::read(STDIN_FILENO, part.data(), part.size());
    if (count > 0) found.append(part.data(), static_cast<std::size_t>(count));
    gone_ = count == 0 || (count == -1 && errno != EINTR && errno != EAGAIN);
  }
  std::string keys;
  for (std::size_t at = 0; at < found.size();) {
    const std::size_t end = found[at] == '\033' ? end_of_sequence(found, at) : at + 1;
    if (end == std::string::npos && !(had_escape && found == "\033")) {
      unfinished_ = found.substr(at);
      break;
    }
    if (end == at + 1 || end == std::string::npos) keys += found[at];
    at = std::min(end, found.size());
  }
  return keys;
}

void Terminal::show(const std::vector<Line>& picture) {
  std::string text;
  if (was_stopped != 0) {
    was_stopped = 0;
    take_over();
    text += enter;
    shown_.clear();
  }
  // Where the lines of a picture are after the size has changed, nobody knows.
  if (const Size size = terminal_size(); size != size_) {
    text += "\033[2J";
    shown_.clear();
    size_ = size;
  }
  text += redraw(shown_, picture, colour_);
  if (!text.empty()) write_all(text);
  shown_ = picture;
}
