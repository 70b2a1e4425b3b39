#pragma once

#include "common/tcp.hpp"

#include <optional>

// The stop: tripped once, by Ctrl-C, SIGTERM, SIGHUP or take(n), and never untripped. A process has
// one, since a signal handler can reach nothing but globals.
namespace stop_signal {

// From here on SIGINT, SIGTERM and SIGHUP trip the stop, whatever the parent has ignored or
// blocked; only a SIGHUP that is ignored (nohup) stays ignored. A SIGINT more than 0.3 s after the
// first SIGINT ends the process, with status 130. Call it before the port opens and before any
// thread starts. Throws std::system_error.
void install();

// For the stops that are no signals.
void trip() noexcept;

// When it was tripped; nullopt before.
std::optional<Clock::time_point> time() noexcept;

// What can be read from the stop on, for poll(2). Nobody may read it.
int fd() noexcept;

// Waits for the stop, for ever.
void wait() noexcept;

// Waits until `fd` can be read: true. False at the stop, or once `deadline` has passed; and only so
// if `fd` is -1. Throws std::system_error.
bool wait_readable(int fd, Clock::time_point deadline);

}  // namespace stop_signal
