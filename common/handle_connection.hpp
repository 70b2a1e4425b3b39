#pragma once

#include "tcp.hpp"

#include <chrono>
#include <string>

// What the server serves, read once at startup.
struct Site {
  std::string hello;      // for "/" and "/sleep"
  std::string not_found;  // for everything else
  std::chrono::milliseconds sleep;
};

// Reads hello.html and 404.html from `html`; `sleep` is how long "/sleep" takes. Throws
// std::system_error: "cannot read html/hello.html: No such file or directory".
Site load_site(const std::string& html, std::chrono::milliseconds sleep);

// Reads the head of one request, answers it and closes: the chapter's handle_connection. A client
// that leaves, or sends no whole head within 5 s or before `wait` gives up, gets a clean close and
// no answer. Throws std::system_error if the answer cannot be sent: "cannot send:
// Broken pipe".
void handle_connection(TcpStream stream, const Site& site, const Wait& wait = wait_readable);
