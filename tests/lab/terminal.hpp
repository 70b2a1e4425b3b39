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
// as before when this ends, and also after a crash. Signals that are to end the process are for its
// user to catch.
class Terminal {
 public:
  // Throws std::system_error if stdin is no terminal.
  Terminal();
  Terminal(const Terminal&) = delete;
  ~Terminal();

  // What has been pressed by now, byte by byte, without arrows and function keys. To be called
  // again a moment later even if nothing is ready: an escape may be the key Esc, or have more
  // behind it. Empty as well if the terminal is gone: then is_gone().
  std::string read_keys();
  bool is_gone() const { return gone_; }

  void show(const std::vector<Line>& picture);

 private:
  std::string unfinished_;  // the beginning of a sequence
  std::vector<Line> shown_;
  Size size_;
  bool colour_;
  bool gone_ = false;
};
