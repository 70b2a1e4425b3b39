#pragma once

#include "picture.hpp"

#include <string>
#include <vector>

// What turns one screen into the other: only lines that differ are written. `before` is empty at
// first.
std::string redraw(const std::vector<Line>& before, const std::vector<Line>& after, bool colour);

// How large the terminal on stdout is; 80x24 if it does not say.
Size terminal_size();

// The terminal, while a picture fills it: every key comes to us, Ctrl-C and Ctrl-Z as well. It is
// as before when this ends, also if that is by a crash or by a signal that ends the process.
class Terminal {
 public:
  // Throws std::system_error if stdin or stdout is no terminal.
  Terminal();
  Terminal(const Terminal&) = delete;
  ~Terminal();

  // What has been pressed by now, byte by byte, without what only moves a cursor. Empty as well if
  // the terminal is gone: then is_gone().
  std::string read_keys();
  bool is_gone() const { return gone_; }

  void show(const std::vector<Line>& picture);

 private:
  std::vector<Line> shown_;
  Size size_;
  bool colour_;
  bool gone_ = false;
};
