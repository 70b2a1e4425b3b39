// Stage 3: a pool of threads. Their number is bounded, but when the server stops, nothing it has
// started is finished.

#include "common/handle_connection.hpp"
#include "common/log.hpp"
#include "common/options.hpp"
#include "common/startup.hpp"
#include "common/tcp.hpp"
#include "thread_pool.hpp"

#include <string>
#include <utility>

int main(int argc, char** argv) {
  prepare_process();
  const Options options = options_or_exit(argc, argv, {"--workers"});
  const Site site = load_site(options.html, options.sleep);

  ThreadPool pool(options.workers);
  TcpListener listener = TcpListener::bind(options.port);
  print_line("Listening on http://127.0.0.1:" + std::to_string(listener.port()));

  for (TcpStream stream : listener.incoming()) {
    pool.execute([stream = std::move(stream), &site]() mutable {
      handle_connection(std::move(stream), site);
    });
  }
}
