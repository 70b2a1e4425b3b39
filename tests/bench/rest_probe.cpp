// The student's Acceptor, with a rest that counts: three clients come one after the other, and then
// the stop. Exit status 0 if it never rests and loses nobody, 1 if not, with the reason on stdout.

#include "common/tcp.hpp"
#include "stage4_graceful_shutdown/acceptor.hpp"
#include "stage4_graceful_shutdown/stop_signal.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iostream>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

void visit(std::uint16_t port) {
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == -1)
    std::cout << "A client cannot connect." << std::endl;
  ::close(client);
}

int probe() {
  stop_signal::install();
  GracePeriod grace(10s);
  TcpListener listener = TcpListener::bind(0);
  const std::jthread others([port = listener.port()] {
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(200ms);
      visit(port);
    }
    std::this_thread::sleep_for(200ms);
    stop_signal::trip();
  });
  std::atomic<int> rests = 0;
  int clients = 0;
  const std::clock_t before = std::clock();
  {
    Acceptor acceptor(listener, grace, [&] { ++rests; });
    for ([[maybe_unused]] TcpStream stream : acceptor.incoming()) ++clients;
  }
  const double used = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  if (rests > 0) std::cout << "It rests " << rests << " times." << std::endl;
  if (clients != 3) std::cout << clients << " of 3 clients are accepted." << std::endl;
  if (used > 0.1) std::cout << "It spins: it needs " << used << " s of CPU time." << std::endl;
  return rests == 0 && clients == 3 && used <= 0.1 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return probe();
  } catch (const std::exception& error) {
    std::cout << "It throws: " << error.what() << std::endl;
    return 1;
  }
}
