#pragma once

#include "common/descriptor.hpp"

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

// What can be read from the stop on: what to wait for, or to be interrupted by. Nobody may read it.
int fd() noexcept;

}  // namespace stop_signal
