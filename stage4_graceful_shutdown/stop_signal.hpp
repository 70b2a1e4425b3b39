#pragma once

#include "common/descriptor.hpp"

#include <optional>

// The stop: tripped once, by Ctrl-C, SIGTERM, SIGHUP or take(n), and never untripped. A process has
// only one, because a signal handler can reach nothing but globals.
namespace stop_signal {

// From here on SIGINT, SIGTERM and SIGHUP trip the stop, even if the parent ignored or blocked
// them, except that an ignored SIGHUP (nohup) stays ignored. A SIGINT more than 0.3 s after the
// first one ends the process with status 130. Call it before the port opens and before any
// thread starts. Throws std::system_error.
void install();

// For a stop without a signal.
void trip() noexcept;

// When the stop was tripped; nullopt before.
std::optional<Clock::time_point> time() noexcept;

// A descriptor that is readable from the stop on, to wait for or be interrupted by. Do not read it.
int fd() noexcept;

}  // namespace stop_signal
