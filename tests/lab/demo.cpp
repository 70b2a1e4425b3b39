// demo: the same clients to several servers at once, a Ctrl-C in the middle, and a picture of what
// each client saw.

#include "picture.hpp"
#include "play.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <sys/ioctl.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

constexpr std::string_view usage_text =
    R"(Usage: demo [options] [STAGE...]                 of the stages 1 to 4; 3 and 4 if none is named
       demo [options] [STAGE...] -- SERVER [ARGUMENT...]

Sends the same clients to each server, presses Ctrl-C on all of them at the same
moment, and draws what every client saw, while it happens if the terminal is
large enough. In the command of a server of your own {port}, {sleep} and
{workers} are filled in; if it cannot be told, say with --sleep-ms and --workers
what it does by itself.

  --scene NAME    ctrl-c (if left out), or rude-client: instead of the Ctrl-C,
                  one client resets its connection before the answer comes
  --clients N     how many ask for /sleep, 1 to 50 (6)
  --workers N     threads in the pool, 1 to 50 (4)
  --sleep-ms N    how long /sleep takes, 100 to 10000 (1500)
  --at-ms N       when the Ctrl-C, or the reset, comes, 0 to 20000 (1000)
  --svg FILE      also draw it as a figure
  --help          print this and exit

It judges nobody: promises does. Exit status: 0, or 2 for a mistake in the
command line or a server that does not start.
)";

struct Settings {
  Scene scene;
  std::vector<Role> roles;
  std::string svg;  // empty: none
  bool help = false;
};

Plot parse_plot(std::string_view name) {
  if (name == "ctrl-c") return Plot::ctrl_c;
  if (name == "rude-client") return Plot::rude_client;
  throw Usage("there is no scene '" + std::string(name) + "'");
}

Role stage_role(int stage) {
  Subject subject = stage_subject(stage);
  const std::filesystem::path binary = subject.command.front();
  return {binary.parent_path().filename().string(), std::move(subject)};
}

Role own_role(std::vector<std::string> command) {
  const std::string name = std::filesystem::path(command.front()).filename().string();
  return {name, {std::move(command)}};
}

Settings parse(Arguments arguments) {
  Settings settings;
  Scene& scene = settings.scene;
  while (arguments.next()) {
    const std::string flag = arguments.word();
    if (flag == "--scene")
      scene.plot = parse_plot(arguments.value());
    else if (flag == "--clients")
      scene.clients = static_cast<std::size_t>(arguments.number(1, 50));
    else if (flag == "--workers")
      scene.workers = static_cast<std::size_t>(arguments.number(1, 50));
    else if (flag == "--sleep-ms")
      scene.sleep = Time(arguments.number(100, 10000));
    else if (flag == "--at-ms")
      scene.at = Time(arguments.number(0, 20000));
    else if (flag == "--svg")
      settings.svg = arguments.value();
    else if (flag == "--help")
      settings.help = true;
    else if (flag == "--")
      settings.roles.push_back(own_role(arguments.server()));
    else if (flag.starts_with('-'))
      throw Usage("unknown option '" + flag + "'");
    else
      settings.roles.push_back(stage_role(parse_number("STAGE", flag, 1, 4)));
  }
  if (settings.roles.empty()) settings.roles = {stage_role(3), stage_role(4)};
  if (scene.plot == Plot::rude_client && scene.at + 200ms > scene.sleep)
    throw Usage("the reset comes too late: --at-ms must be 200 less than --sleep-ms");
  return settings;
}

// Set by the Ctrl-C that is meant for us. The servers are in process groups of their own, so the
// terminal sends it to nobody else.
volatile std::sig_atomic_t interrupted = 0;

extern "C" void on_signal(int signal) { interrupted = signal; }

constexpr std::size_t min_width = 60;  // columns
constexpr std::size_t max_width = 100;

struct Size {
  std::size_t columns = 80;
  std::size_t rows = 24;

  bool operator==(const Size&) const = default;
};

Size terminal_size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

std::string picture_of(const Recording& recording, const Size& size) {
  return draw_text(recording, std::clamp<std::size_t>(size.columns, min_width, max_width),
                   use_colour(STDOUT_FILENO));
}

// Draws each picture over the one before.
class Screen {
 public:
  // Only where it fits: what has scrolled cannot be drawn over.
  void draw_live(const Recording& recording) {
    const Size size = terminal_size();
    const std::string picture = picture_of(recording, size);
    if (size.columns >= min_width && count_lines(picture) < size.rows) draw(picture, size);
  }

  void draw_last(const Recording& recording) {
    const Size size = terminal_size();
    const std::string picture = picture_of(recording, size);
    if (lines_ > 0)
      draw(picture, size);
    else
      std::cout << picture;
  }

 private:
  static std::size_t count_lines(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  }

  void draw(const std::string& picture, const Size& size) {
    std::string text;
    // Where the lines of a picture are after the size has changed, nobody knows.
    if (lines_ > 0 && size == size_) text += "\033[" + std::to_string(lines_) + "A";
    for (const char c : picture)
      text += c == '\n' ? "\033[K\n" : std::string(1, c);  // nothing older right of the line
    std::cout << text << "\033[J" << std::flush;           // or below
    lines_ = count_lines(picture);
    size_ = size;
  }

  std::size_t lines_ = 0;  // of the picture on the screen
  Size size_;
};

void write_file(const std::string& name, const std::string& text) {
  std::ofstream file(name);
  if (!(file << text).flush()) throw std::runtime_error("cannot write " + name);
}

// Plays it to the end, or until we are interrupted.
Recording play(const Settings& settings) {
  Play play(settings.scene, settings.roles);
  // From here on there is something to be ended in order.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, on_signal);
  const bool live = is_terminal(STDOUT_FILENO);
  Screen screen;
  auto next = Clock::now();
  while (play.step() && interrupted == 0) {
    if (!live || Clock::now() < next) continue;
    screen.draw_live(play.recording());
    next = Clock::now() + 50ms;
  }
  if (interrupted == 0) screen.draw_last(play.recording());
  return play.recording();
}

int run(const Settings& settings) {
  if (settings.help) {
    std::cout << usage_text;
    return 0;
  }
  // Now, not after the play; and without harm to a figure that is there.
  if (!settings.svg.empty() && !std::ofstream(settings.svg, std::ios::app))
    throw Usage("cannot write " + settings.svg);
  const Recording recording = play(settings);
  if (interrupted != 0) {
    std::signal(interrupted, SIG_DFL);
    std::raise(interrupted);  // so that who started us learns why we end
  }
  flush_stdout();
  if (!settings.svg.empty()) write_file(settings.svg, draw_svg(recording));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("demo", usage_text, [&] { return run(parse({argc, argv})); });
}
