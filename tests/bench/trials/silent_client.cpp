// A worker reads from a client that says nothing, and main waits for the worker.

#include <array>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>

void serve(int client) {
  std::array<char, 100> bytes;
  while (::recv(client, bytes.data(), bytes.size(), 0) > 0) {
  }
}

int main() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  sockaddr* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, any, size) == -1 || ::listen(listener, 8) == -1) return 1;
  if (::getsockname(listener, any, &size) == -1) return 1;
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(silent, any, size) == -1) return 1;
  std::thread worker(serve, ::accept(listener, nullptr, nullptr));
  worker.join();
}
