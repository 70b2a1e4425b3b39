#pragma once

#include <string>
#include <string_view>

// What a client makes of an answer's bytes, as RFC 9112 tells a recipient to. What a recipient may
// accept (a bare LF, folded lines, a length told twice) is no fault.
struct Reading {
  enum class State { unfinished, whole, faulty };
  State state = State::unfinished;
  int status = 0;              // of the final answer; 0 before its status line is there
  std::string body;            // decoded; only of a whole answer
  bool ends_by_close = false;  // nothing but the end of the connection tells where it ends
  std::string what;            // is missing, or wrong: "44 of 117 bytes of the body"
};

// Reads as far as `bytes` go. `ended`: the server has closed the connection after them. `to_head`:
// they answer a HEAD, so no body follows, whatever the fields say (RFC 9112 §6.3). Never throws for
// what is in `bytes`.
Reading read_answer(std::string_view bytes, bool ended, bool to_head = false);
