#pragma once

#include <string_view>

// Each writes one line at once and whole, so that the lines of many threads never mix and none
// waits in a buffer: a program ended by a signal flushes nothing.

// To stdout: Rust's println!. Throws std::system_error if it cannot.
void print_line(std::string_view line);

// To stdout, for a server at work: if nobody can read the log any more, the line is dropped, and
// stderr told so, once.
void log_line(std::string_view line) noexcept;

// To stderr. If that fails too, there is nobody left to tell.
void warn_line(std::string_view line) noexcept;
