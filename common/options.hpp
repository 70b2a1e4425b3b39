#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

// The command line of the four stages.
struct Options {
  std::uint16_t port = 7878;
  std::chrono::milliseconds sleep{5000};
  std::string html;  // the pages' folder
  std::size_t workers = 4;
  std::ptrdiff_t take = std::numeric_limits<std::ptrdiff_t>::max();  // connections
  std::chrono::milliseconds grace{30000};
  bool help = false;
};

// Every stage has --port, --sleep-ms, --html and --help; `more` names the others that it has.
using Flags = std::initializer_list<std::string_view>;

// Throws std::invalid_argument: "--port takes a whole number from 0 to 65535, not 'x'".
Options parse_options(std::span<const std::string_view> arguments, Flags more);

std::string usage(std::string_view program, Flags more);

// For main(): like parse_options(), but --help prints the usage on stdout and exits with 0, and a
// mistake prints it on stderr and exits with 2.
Options options_or_exit(int argc, char** argv, Flags more = {});
