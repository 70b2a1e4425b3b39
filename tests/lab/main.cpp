// lab: a control desk for servers that are about to be stopped: clients, signals and wrong turns at
// the press of a key, and the accept queue before everybody's eyes.

#include "files.hpp"
#include "lab.hpp"
#include "terminal.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>

#include <poll.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

constexpr std::string_view usage_text =
    R"(Usage: lab [options] [STAGE [STAGE]]             of the stages 1 to 4
       lab [options] -- SERVER [ARGUMENT...]

Puts one server on stage, or two side by side, sends them clients and signals at
the press of a key, and draws what can be seen of them from outside. ? lists the
keys; Ctrl-C goes to the server, and q quits. In your own server's command,
{port} becomes 0, for any free port, {sleep} a time in ms, and {workers} a
number. Of several processes, the one that listens is shown.

  --script KEYS   presses these keys by itself, such as 's s . ^C', with a dot
                  for a third of a /sleep; draws the timeline, and ends
  --scene NAME    does so with the keys of a scene; stages named here replace
                  its own
  --workers N     threads in the pool, 1 to 50 (4)
  --sleep-ms N    how long /sleep takes, 100 to 60000 (3000; in a scene 1500)
  --save NAME     writes what was played to NAME.txt, NAME.svg, NAME.cast (for
                  asciinema) and NAME.keys (a script); without it v writes lab.*
  --theme NAME    of the SVG: light (the default) or dark
  --help          print this and exit

It only shows; promises judges. Exit status: 0, or 2 for a mistake in the
command line or in a script, or if a script's server does not start.
)";

struct Settings {
  Lab::Settings lab;
  std::optional<Script> script{};
  bool saves = false;
  bool help = false;
};

Script scene(const std::string& name) {
  const std::string folder = SOURCE "/tests/lab/scenes/";
  if (name.find('/') == std::string::npos && std::filesystem::exists(folder + name + ".keys"))
    return parse_script(read_file(folder + name + ".keys"));
  std::string names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names += ' ' + entry.path().stem().string();
  throw Usage("unknown scene '" + name + "'; the scenes are" + names);
}

Settings parse(Arguments arguments) {
  Settings settings;
  Lab::Settings& lab = settings.lab;
  lab.file = "lab";
  lab.conditions.sleep = Time(0);
  while (arguments.next()) {
    const std::string flag = arguments.word();
    if (flag == "--script") {
      settings.script = parse_script(arguments.value());
    } else if (flag == "--scene") {
      settings.script = scene(arguments.value());
    } else if (flag == "--workers") {
      lab.conditions.workers = static_cast<std::size_t>(arguments.number(1, 50));
    } else if (flag == "--sleep-ms") {
      lab.conditions.sleep = Time(arguments.number(100, 60000));
    } else if (flag == "--save") {
      lab.file = arguments.value();
      settings.saves = true;
    } else if (flag == "--theme") {
      const std::string theme = arguments.value();
      if (theme != "light" && theme != "dark") throw Usage("--theme is light or dark");
      lab.theme = theme == "light" ? Theme::light : Theme::dark;
    } else if (flag == "--help") {
      settings.help = true;
    } else if (flag == "--") {
      lab.command = arguments.server();
    } else if (flag.starts_with('-')) {
      throw Usage("unknown option '" + flag + "'");
    } else {
      lab.stages.push_back(parse_number("STAGE", flag, 1, 4));
    }
  }
  if (lab.stages.size() > 2) throw Usage("at most two stages can be shown side by side");
  if (!lab.stages.empty() && !lab.command.empty())
    throw Usage("give a stage or a server of your own, not both");
  if (lab.conditions.sleep == 0ms) lab.conditions.sleep = settings.script ? 1500ms : 3000ms;
  if (settings.script && (!lab.stages.empty() || !lab.command.empty()))
    settings.script->stages = lab.stages;
  else if (settings.script)
    lab.stages = settings.script->stages;
  if (lab.stages.empty() && lab.command.empty()) lab.stages = {1};
  return settings;
}

// Set by a signal that is meant for us: in the lab Ctrl-C is a key. The servers are in process
// groups of their own, so a terminal sends it to nobody else.
volatile std::sig_atomic_t interrupted = 0;

extern "C" void on_signal(int signal) { interrupted = signal; }

// With a picture, until q is pressed or the script is over.
void run_live(Lab& lab, bool plays) {
  Terminal terminal;
  auto next = Clock::now();
  while (interrupted == 0 && !lab.is_over() && !terminal.is_gone() && !(plays && lab.is_played())) {
    pollfd keyboard{STDIN_FILENO, POLLIN, 0};
    lab.step({&keyboard, 1}, 50ms);
    const std::string keys = terminal.read_keys();
    for (const char key : keys) lab.press(key_of(key));
    if (keys.empty() && Clock::now() < next) continue;
    terminal.show(lab.picture(terminal_size()));
    next = Clock::now() + 50ms;
  }
  if (terminal.is_gone()) interrupted = SIGHUP;
}

void run_blind(Lab& lab) {
  while (interrupted == 0 && !lab.is_over() && !lab.is_played()) lab.step({}, 50ms);
}

// Why there is no picture while it happens; empty if there is one.
std::string why_blind() {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDOUT_FILENO))
    return "There is no terminal to draw on live, so this is the finished timeline.";
  const Size size = terminal_size();
  if (has_room(size)) return "";
  return "The terminal has " + std::to_string(size.columns) + 'x' + std::to_string(size.rows) +
         ". From 80x24 on it is drawn while it happens; this is the timeline.";
}

void print_timeline(const Lab& lab) {
  const Size size = is_terminal(STDOUT_FILENO) ? terminal_size() : Size{};
  for (const Recording& recording : lab.played())
    std::cout << draw_text(recording, std::clamp<std::size_t>(size.columns, 60, 100),
                           use_colour(STDOUT_FILENO));
}

// What the lab is for. When it ends, so do its servers.
int run_lab(const Settings& settings, const std::string& blind) {
  const bool plays = settings.script.has_value();
  Lab lab(settings.lab);
  if (plays) lab.play(*settings.script);
  if (plays && !blind.empty())
    run_blind(lab);
  else
    run_live(lab, plays);
  if (interrupted != 0) return 2;
  if (plays) {
    lab.close();
    if (!blind.empty()) std::cerr << blind << '\n';
    print_timeline(lab);
  }
  flush_stdout();
  if (settings.saves) lab.save(settings.lab.file);
  for (const std::string& problem : lab.problems()) std::cerr << "lab: " << problem << '\n';
  return lab.problems().empty() ? 0 : 2;
}

int run(const Settings& settings) {
  if (settings.help) {
    std::cout << usage_text;
    return 0;
  }
  const bool terminal = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  if (!settings.script && !terminal)
    throw Usage("there is no terminal to read keys from, and no --script");
  // Now, not after the play.
  if (settings.saves) write_file(settings.lab.file + ".txt", "");
  raise_descriptor_limit();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) std::signal(signal, on_signal);
  const int status = run_lab(settings, why_blind());
  if (interrupted != 0) {
    std::signal(interrupted, SIG_DFL);
    std::raise(interrupted);  // so that who started us learns why we end
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("lab", usage_text, [&] { return run(parse({argc, argv})); });
}
