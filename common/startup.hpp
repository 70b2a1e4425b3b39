#pragma once

// The first call in every main(); Rust's runtime does similar things before main(). From here on
//   - writing to a client or a log that is gone is an error from write(2). By default it
//     raises SIGPIPE, which ends the process without a message, as SIGXFSZ does when the log
//     reaches `ulimit -f`;
//   - no socket becomes file descriptor 0, 1 or 2. A program started with stdout closed (`>&-`)
//     would get 1 for its first socket, and its log lines would go to a client;
//   - the log can be written without waiting, see log.hpp.
// Throws std::system_error.
void prepare_process();
