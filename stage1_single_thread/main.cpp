// Stage 1: one thread. Who comes second waits until the first is done.

#include "handle_connection.hpp"
#include "log.hpp"
#include "options.hpp"
#include "tcp.hpp"

#include <csignal>
#include <string>
#include <utility>

int main(int argc, char** argv) {
  // Writing to a client, or a log, that is gone raises SIGPIPE, which ends the process without a
  // word. Ignored, it is an error that write() returns. Rust does this before main.
  std::signal(SIGPIPE, SIG_IGN);
  const Options options = options_or_exit(argc, argv);
  const Site site = load_site(options.html, options.sleep);

  TcpListener listener = TcpListener::bind(options.port);
  print_line("Listening on http://127.0.0.1:" + std::to_string(listener.port()));

  for (TcpStream stream : listener.incoming()) {
    handle_connection(std::move(stream), site);
  }
}
