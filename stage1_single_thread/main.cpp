// Stage 1: one thread. The second client waits until the first is done.

#include "common/handle_connection.hpp"
#include "common/log.hpp"
#include "common/options.hpp"
#include "common/startup.hpp"
#include "common/tcp.hpp"

#include <string>
#include <utility>

int main(int argc, char** argv) {
  prepare_process();
  const Options options = options_or_exit(argc, argv);
  const Site site = load_site(options.html, options.sleep);

  TcpListener listener = TcpListener::bind(options.port);
  print_line("Listening on http://127.0.0.1:" + std::to_string(listener.port()));

  for (TcpStream stream : listener.incoming()) {
    handle_connection(std::move(stream), site);
  }
}
