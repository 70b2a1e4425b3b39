#include "options.hpp"

#include "log.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <vector>

#include <unistd.h>

// The build defines where the pages are (common/meson.build). This is for compiling by hand.
#ifndef HTML_IN_SOURCE
#define HTML_IN_SOURCE "common/html"
#define HTML_INSTALLED "/usr/local/share/concurrent-server-workbook/html"
#endif

namespace {

struct Flag {
  std::string_view name;
  std::string_view help;
};

constexpr std::array flags{
    Flag{"--port", " N       port on 127.0.0.1, 0 for any free one (default 7878)"},
    Flag{"--sleep-ms", " N   how long /sleep takes, in ms (default 5000)"},
    Flag{"--html", " DIR     folder with hello.html and 404.html"},
    Flag{"--workers", " N    threads in the pool, 1 to 1000 (default 4)"},
    Flag{"--take", " N       stop after N connections (default: no limit)"},
    Flag{"--grace-ms", " N   longest a shutdown may take, in ms (default 30000)"},
};

bool is_known(std::string_view name, Flags more) {
  return name == "--port" || name == "--sleep-ms" || name == "--html" ||
         std::ranges::find(more, name) != more.end();
}

int number(std::string_view flag, std::string_view text, int min, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && text[0] != '-';
  if (!whole || value < min || value > max) {
    throw std::invalid_argument(std::string(flag) + " takes a whole number from " +
                                std::to_string(min) + " to " + std::to_string(max) + ", not '" +
                                std::string(text) + "'");
  }
  return value;
}

void set(Options& options, std::string_view flag, std::string_view value) {
  constexpr int most = std::numeric_limits<int>::max();
  using std::chrono::milliseconds;
  if (flag == "--port") options.port = static_cast<std::uint16_t>(number(flag, value, 0, 65535));
  if (flag == "--sleep-ms") options.sleep = milliseconds(number(flag, value, 0, most));
  if (flag == "--html") options.html = value.empty() ? "." : value;
  if (flag == "--workers") options.workers = static_cast<std::size_t>(number(flag, value, 1, 1000));
  if (flag == "--take") options.take = number(flag, value, 1, most);
  if (flag == "--grace-ms") options.grace = milliseconds(number(flag, value, 0, most));
}

}  // namespace

Options parse_options(std::span<const std::string_view> arguments, Flags more) {
  Options options;
  // The file may exist, but be readable only by another user.
  const bool in_source = ::access(HTML_IN_SOURCE "/hello.html", R_OK) == 0;
  options.html = in_source ? HTML_IN_SOURCE : HTML_INSTALLED;
  for (auto it = arguments.begin(); it != arguments.end(); ++it) {
    // "--port 8080" or "--port=8080"
    const std::size_t equals = it->find('=');
    const std::string_view flag = it->substr(0, equals);
    if (*it == "--help") {
      options.help = true;
    } else if (!is_known(flag, more)) {
      throw std::invalid_argument("unknown argument '" + std::string(*it) + "'");
    } else if (equals != std::string_view::npos) {
      set(options, flag, it->substr(equals + 1));
    } else if (++it != arguments.end()) {
      set(options, flag, *it);
    } else {
      throw std::invalid_argument(std::string(flag) + " needs a value");
    }
  }
  return options;
}

std::string usage(std::string_view program, Flags more) {
  std::string text = "Usage: " + std::string(program) + " [options]\n";
  for (const Flag& flag : flags) {
    if (is_known(flag.name, more)) text.append("  ").append(flag.name).append(flag.help) += '\n';
  }
  return text + "  --help         print this and exit";
}

Options options_or_exit(int argc, char** argv, Flags more) {
  const std::string path = argc > 0 ? argv[0] : "server";  // execve(2) may pass no arguments at all
  const std::string program = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  try {
    const std::vector<std::string_view> arguments(argv + std::min(argc, 1), argv + argc);
    const Options options = parse_options(arguments, more);
    if (!options.help) return options;
    print_line(usage(program, more));
    std::exit(0);
  } catch (const std::invalid_argument& error) {
    // Not as one line, which might be truncated.
    warn_line({program, ": ", error.what()});
    warn_line({usage(program, more)});
    std::exit(2);
  }
}
