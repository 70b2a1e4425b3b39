// Stage 4: what was started is finished. On take(n), Ctrl-C, SIGTERM or SIGHUP the server stops
// accepting, answers every request it has, joins its threads and exits with status 0.

#include "acceptor.hpp"
#include "common/handle_connection.hpp"
#include "common/log.hpp"
#include "common/options.hpp"
#include "common/startup.hpp"
#include "common/tcp.hpp"
#include "grace_period.hpp"
#include "stop_signal.hpp"
#include "thread_pool.hpp"

#include <exception>
#include <ranges>
#include <string>
#include <utility>

int main(int argc, char** argv) try {
  prepare_process();
  const Options options = options_or_exit(argc, argv, {"--workers", "--take", "--grace-ms"});
  const Site site = load_site(options.html, options.sleep);

  stop_signal::install();
  GracePeriod grace(options.grace);
  ThreadPool pool(options.workers);
  TcpListener listener = TcpListener::bind(options.port);
  print_line("Listening on http://127.0.0.1:" + std::to_string(listener.port()), stop_signal::fd());

  // A wake-up for each client costs more than handing it over, and if all workers are busy, it has
  // to wait in any case.
  Acceptor acceptor(listener, grace, [&pool] { pool.let_catch_up(); });
  for (TcpStream stream : acceptor.incoming() | std::views::take(options.take)) {
    pool.execute([stream = std::move(stream), &site, ticket = grace.admit()]() mutable {
      handle_connection(std::move(stream), site, ticket.start());
    });
  }
  // However the loop ends, the destructors do the rest, in reverse order of declaration: ~Acceptor
  // stops accepting, even after take(n); ~ThreadPool finishes what is left and joins the workers;
  // ~GracePeriod ends its watch.
} catch (const std::exception& error) {
  warn_line({"stage4: ", error.what()});
  return 1;
}
