// Stage 2: a thread for each request. Nobody waits, but nobody counts the threads either.

#include "common/handle_connection.hpp"
#include "common/log.hpp"
#include "common/options.hpp"
#include "common/startup.hpp"
#include "common/tcp.hpp"

#include <string>
#include <thread>
#include <utility>

int main(int argc, char** argv) {
  prepare_process();
  const Options options = options_or_exit(argc, argv);
  const Site site = load_site(options.html, options.sleep);

  TcpListener listener = TcpListener::bind(options.port);
  print_line("Listening on http://127.0.0.1:" + std::to_string(listener.port()));

  for (TcpStream stream : listener.incoming()) {
    // Detached, the threads may use `site`: main() never returns.
    std::thread thread([stream = std::move(stream), &site]() mutable {
      handle_connection(std::move(stream), site);
    });
    thread.detach();
  }
}
