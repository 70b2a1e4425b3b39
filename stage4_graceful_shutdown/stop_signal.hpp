#pragma once

#include "tcp.hpp"

#include <functional>
#include <optional>

// The stop: tripped once, by Ctrl-C, SIGTERM or take(n), and never untripped. A process has one,
// since a signal handler can reach nothing but globals.
namespace stop_signal {

// How long a client has after the stop to finish sending its request. It runs once for all of them.
inline constexpr std::chrono::seconds last_call{1};

// From here on SIGINT and SIGTERM trip the stop; a SIGINT after it ends the process at once, with
// status 130. Call it before the port opens: a signal in between would just end the process. Throws
// std::system_error.
void install();

// Safe in a signal handler. Returns true if this call was the one that tripped it.
bool trip() noexcept;

// When it was tripped; nullopt before.
std::optional<Clock::time_point> time() noexcept;

// Waits for the stop, for ever.
void wait();

// How a worker waits for a client: as wait_readable() does, but from the stop on only until
// stop + last_call.
bool wait_until_last_call(int fd, Clock::time_point deadline);

// The connections of `listener` up to the stop, and then those the kernel had completed before it:
// to their clients they were made. When nobody is there, it calls `rest`, then waits.
// Must not outlive the listener.
Incoming incoming(TcpListener& listener, std::function<void()> rest);

}  // namespace stop_signal
