// The least a server can do, to measure the others by: each thread accepts, reads, sends a
// ready-made answer, and closes. It checks nothing, logs nothing and has no deadlines.

#include "common/handle_connection.hpp"
#include "common/http.hpp"
#include "common/log.hpp"
#include "common/options.hpp"
#include "common/startup.hpp"
#include "common/tcp.hpp"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
  prepare_process();
  const Options options = options_or_exit(argc, argv, {"--workers"});
  const std::string answer = make_response(status::ok, "text/html; charset=utf-8",
                                           load_site(options.html, options.sleep).hello, true);
  const TcpListener listener = TcpListener::bind(options.port);
  ::fcntl(listener.fd(), F_SETFL, 0);  // here, each thread waits in accept()
  print_line("Listening on http://127.0.0.1:" + std::to_string(listener.port()));

  const auto serve = [&] {
    std::array<char, 8192> buffer;
    while (true) {
      const FileDescriptor socket(::accept(listener.fd(), nullptr, nullptr));
      ssize_t count = ::read(socket.get(), buffer.data(), buffer.size());
      if (count > 0) count = ::write(socket.get(), answer.data(), answer.size());
    }
  };
  std::vector<std::thread> others;  // forever, like the main thread
  while (others.size() + 1 < options.workers) others.emplace_back(serve);
  serve();
}
