#pragma once

// What Rust's runtime does before main; here it is the first line of every main. From here on
//   - writing to a client or a log that is gone is an error that write(2) returns. By default it
//     raises SIGPIPE, which ends the process without a word, as SIGXFSZ does when the log reaches
//     `ulimit -f`;
//   - no socket becomes descriptor 0, 1 or 2. Started with stdout closed (`>&-`), a program would
//     get 1 for its first socket, and its log lines would go to a client;
//   - the log can be written without waiting, see log.hpp.
// Throws std::system_error.
void prepare_process();
