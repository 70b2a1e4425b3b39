#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <string_view>

// Each line is written immediately and whole, so that the lines of several threads never mix and
// none waits in a buffer: a program ended by a signal flushes nothing.

// To stdout: Rust's println!. Waits until it can be written; if `interrupt` can be read first, the
// line is left out. It is cut at PIPE_BUF bytes. Throws std::system_error if it cannot be written.
void print_line(std::string_view line, int interrupt = -1);

// Before any thread starts: finds ways to write to stdout and stderr that do not wait.
void prepare_log() noexcept;

// The parts of a line. They are joined without memory from the heap, so a server that has none left
// can still say so.
using Parts = std::initializer_list<std::string_view>;

// A number as one of the parts: log_line({"Shutting down worker ", Digits(id)}).
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

// To stdout, for a server at work. A line that would have to wait, because nobody reads stdout, is
// dropped, and the next line that can be written says how many were. If stdout fails, stderr is
// told so, once. A line longer than PIPE_BUF bytes is cut there.
void log_line(Parts parts) noexcept;

// Tells stderr how many log lines have been dropped, if no later line has said so yet.
void warn_of_dropped_lines() noexcept;

// To stderr. If the line would have to wait, or fails, there is nobody left to tell.
void warn_line(Parts parts) noexcept;
