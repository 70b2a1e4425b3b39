#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <string_view>

// Each line is written immediately and whole: lines of different threads never mix, and none is
// left in a buffer when a signal ends the program.

// Writes to stdout: Rust's println!. Waits until it can, but skips the line if `interrupt` becomes
// readable first. Truncates it to PIPE_BUF bytes. Throws std::system_error if it cannot be written.
void print_line(std::string_view line, int interrupt = -1);

// Finds ways to write to stdout and stderr without waiting. Call it before any thread starts.
void prepare_log() noexcept;

// The parts of a line. Joining them takes no heap memory, so a server that has run out of it can
// still say so.
using Parts = std::initializer_list<std::string_view>;

// A number as a part of a line: log_line({"Shutting down worker ", Digits(id)}).
class Digits {
 public:
  explicit Digits(std::size_t number) noexcept
      : end_(std::to_chars(text_.data(), text_.data() + text_.size(), number).ptr) {}
  Digits(const Digits&) = delete;
  operator std::string_view() const noexcept { return {text_.data(), end_}; }

 private:
  std::array<char, 20> text_;  // the longest std::size_t
  char* end_;
};

// Writes to stdout, from any thread. A line that would have to wait, because nobody reads stdout,
// is dropped, and the next one that can be written reports how many were. If stdout fails, one
// warning goes to stderr. Truncates the line to PIPE_BUF bytes.
void log_line(Parts parts) noexcept;

// Reports on stderr how many log lines have been dropped, unless a later line has reported it.
void warn_of_dropped_lines() noexcept;

// Writes to stderr. Drops a line that would have to wait, or fails: nowhere is left to report it.
void warn_line(Parts parts) noexcept;
