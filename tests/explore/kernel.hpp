#pragma once

#include "world.hpp"

#include <array>
#include <cstddef>
#include <string>

// A simulated kernel, for a program that is explored: sockets, pipes, descriptors, signals and the
// time, as far as the four servers use them. While it is on, what the program calls of these is
// answered here and nothing reaches the real one. The threads that are `outside` of the program are
// its clients: other processes, with descriptors of their own, that call the same functions.
namespace explore {

struct Kernel {
  bool on = false;

  // What a run may meet with; to be set before it.
  struct Conditions {
    std::size_t descriptors = 64;  // the program may have so many
    std::size_t spare = 1'000;     // and so many more, once it listens
    int accept_error = 0;          // accept4() fails with it, once, at any call
    bool log_is_read = true;       // or stdout and stderr are a pipe that is full
    int bind_error = 0;            // bind() fails with it
    std::size_t window = 262'144;  // bytes that a socket holds unread, or the log takes at once
    int inherits = 0;              // this signal is blocked and ignored at the start
    Time handshake = 0;            // how long a handshake's last packet is under way
    bool gentle = false;           // a reset may spare what has arrived: both are tried
    bool clients_wait = true;      // connect() waits until the program listens
  } conditions;

  void reset();           // before each run
  void send(int signal);  // to the process, as from kill(2)
  void ignore(int signal);
  bool handles(int signal) const;
  bool has_listened() const;  // has somebody ever?
  bool listens() const;       // does somebody now?
  // The thread that is the client of this connection of the program's; 0 if it is none.
  std::size_t client_at(int fd) const;
  bool in_handler(const Thread& thread) const;  // of a signal
  // The process has ended; its clients go on. Ends the run when they are done.
  [[noreturn]] void end_process(int status);

  // What came of the run.
  bool process_has_ended = false;
  Time stopped_at = never;  // by the first signal
  Time ended_at = 0;
  std::array<bool, max_threads> accepted{};      // by the thread that is the client
  std::ptrdiff_t left_open = 0;                  // sockets and files, by main, when it ended
  int ended_by = 0;                              // a signal
  std::string printed;                           // on stdout and stderr
  std::array<bool, max_threads> left_running{};  // by main, when it ended
  bool accept_has_failed = false;
};

extern Kernel kernel;

// Is it a client, or what sends the signals?
inline bool is_outside(const Thread& thread) { return thread.kind == Thread::outside; }

}  // namespace explore
