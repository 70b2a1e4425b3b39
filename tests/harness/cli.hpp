#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// What the tools under tests/ have in common.

// A mistake in a command line.
struct Usage : std::runtime_error {
  using runtime_error::runtime_error;
};

// A tool's main: the exit status that `run` returns. If it throws, says why, and returns 2.
int run_tool(std::string_view name, std::string_view usage, const std::function<int()>& run);

// The value of `flag`. Throws Usage unless `text` is a whole number from `min` to `max`.
int parse_number(const std::string& flag, std::string_view text, int min, int max);

// A tool's command line, word by word.
class Arguments {
 public:
  Arguments(int argc, char** argv) : words_(argv + std::min(argc, 1), argv + argc) {}

  // Goes on to the next word; false after the last one.
  bool next() { return at_++ < words_.size(); }
  const std::string& word() const { return words_.at(at_ - 1); }

  // What follows this word: its value, a number from `min` to `max`, or, after "--", the command of
  // a server. Throws Usage if it does not.
  std::string value();
  int number(int min, int max);
  std::vector<std::string> server();

 private:
  std::vector<std::string> words_;
  std::size_t at_ = 0;
};

// Is descriptor `fd` a terminal that redraws, and wants colours?
bool is_terminal(int fd);
bool use_colour(int fd);

// "judged 17 of 68", on stderr, so that the result can be piped away.
void show_progress(std::string_view what, std::size_t done, std::size_t all);

// Throws std::runtime_error if what was printed could not be written.
void flush_stdout();

// "12,345.6"
std::string with_commas(double value, int decimals);

// `text` as a JSON string.
std::string json_string(std::string_view text);
