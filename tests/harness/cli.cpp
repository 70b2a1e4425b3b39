#include "cli.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <unistd.h>

int run_tool(std::string_view name, std::string_view usage, const std::function<int()>& run) {
  try {
    const int status = run();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.flush()) return status;
    std::cerr << name << ": cannot write to stdout\n";
    return 2;
  } catch (const Usage& error) {
    std::cerr << name << ": " << error.what() << '\n' << usage;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << '\n';
  }
  return 2;
}

int parse_number(const std::string& flag, std::string_view text, int min, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    throw Usage(flag + " takes a whole number from " + std::to_string(min) + " to " +
                std::to_string(max));
  }
  return value;
}

std::string Arguments::value() {
  if (at_ == words_.size()) throw Usage(word() + " needs a value");
  return words_[at_++];
}

int Arguments::number(int min, int max) {
  const std::string flag = word();
  return parse_number(flag, value(), min, max);
}

std::vector<std::string> Arguments::server() {
  if (at_ == words_.size()) throw Usage("-- needs a server after it");
  const auto rest = words_.begin() + static_cast<std::ptrdiff_t>(at_);
  at_ = words_.size();
  return {rest, words_.end()};
}

bool is_terminal(int fd) {
  const char* const term = std::getenv("TERM");
  return ::isatty(fd) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

bool use_colour(int fd) {
  const char* const no_colour = std::getenv("NO_COLOR");
  return is_terminal(fd) && (no_colour == nullptr || *no_colour == '\0');
}

void show_progress(std::string_view what, std::size_t done, std::size_t all) {
  const bool terminal = is_terminal(STDERR_FILENO);
  if (terminal)
    std::cerr << '\r';
  else if (done % 17 != 0)
    return;
  std::cerr << what << ' ' << done << " of " << all << (terminal && done < all ? "" : "\n")
            << std::flush;
}

void flush_stdout() {
  if (!std::cout.flush()) throw std::runtime_error("cannot write to stdout");
}

std::string with_commas(double value, int decimals) {
  std::array<char, 64> fixed{};
  std::snprintf(fixed.data(), fixed.size(), "%.*f", decimals, value);
  std::string text = fixed.data();
  std::size_t at = std::min(text.find('.'), text.size());
  for (; at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string json_string(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    if (c < ' ' || c > '~') {  // a byte of another alphabet is told as one of Latin-1
      constexpr std::string_view hex = "0123456789abcdef";
      json += "\\u00";
      json += hex[static_cast<unsigned char>(c) >> 4];
      json += hex[static_cast<unsigned char>(c) & 15];
    } else {
      json += c;
    }
  }
  return json + '"';
}
