#include "tcp.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

FileDescriptor accept_nonblocking(int listener) {
#ifdef SOCK_NONBLOCK
  return FileDescriptor(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
#else
  // macOS has no accept4(), and its accepted sockets inherit O_NONBLOCK from the listening socket;
  // Linux's do not.
  FileDescriptor socket(::accept(listener, nullptr, nullptr));
  if (socket.get() != -1) set_nonblocking_and_cloexec(socket.get());
  return socket;
#endif
}

// Any other error concerns one connection before it was accepted, or is temporary. (POSIX has
// ECONNABORTED for this; Linux's accept(2) also passes on pending network errors.)
constexpr std::array listener_is_broken{EBADF, EFAULT, EINVAL, ENOTSOCK};
constexpr std::array process_has_no_room{EMFILE, ENFILE, ENOBUFS, ENOMEM};

}  // namespace

std::optional<std::size_t> TcpStream::try_read(std::span<char> buffer) noexcept {
  while (true) {
    const ssize_t count = ::recv(fd(), buffer.data(), buffer.size(), 0);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
    if (!pause_if_short(errno) && errno != EINTR) return 0;
  }
}

void TcpStream::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd(), bytes.data(), bytes.size(), 0);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_ready(fd(), POLLOUT, Clock::time_point::max());
    } else if (!pause_if_short(errno) && errno != EINTR) {
      throw_errno({"cannot send"});
    }
  }
}

void TcpStream::shutdown_write() noexcept { ::shutdown(fd(), SHUT_WR); }

bool Incoming::has_current() {
  if (!current_ && next_) current_ = next_();
  if (!current_) next_ = nullptr;  // the end is for good
  return current_.has_value();
}

TcpListener TcpListener::bind(std::uint16_t port) {
  const std::string number = std::to_string(port);
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  if (socket.get() == -1) throw_errno({"cannot listen on 127.0.0.1:", number});
  set_nonblocking_and_cloexec(socket.get());

  // The side that closes first keeps the connection in TIME_WAIT for a minute, so that no late
  // packet reaches a new connection. That side is the server; without this, a restart finds the
  // port in use. Rust sets it, too.
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == -1 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1 ||
      ::listen(socket.get(), SOMAXCONN) == -1) {
    throw_errno({"cannot listen on 127.0.0.1:", number});
  }
  return TcpListener(std::move(socket));
}

std::uint16_t TcpListener::port() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd(), reinterpret_cast<sockaddr*>(&address), &size) == -1) {
    throw_errno({"cannot read the port number"});
  }
  return ntohs(address.sin_port);
}

std::optional<TcpStream> TcpListener::try_accept(bool patiently) {
  FileDescriptor socket = accept_nonblocking(fd());
  if (socket.get() != -1) return TcpStream(std::move(socket));
  const bool broken = std::ranges::count(listener_is_broken, errno) > 0;
  const bool no_room = std::ranges::count(process_has_no_room, errno) > 0;
  if (broken || (no_room && !patiently)) throw_errno({"cannot accept"});
  return std::nullopt;
}

Incoming TcpListener::incoming() {
  return Incoming([this] {
    std::optional<TcpStream> stream;
    while (!stream) {
      wait_readable(fd(), Clock::time_point::max());
      stream = try_accept();
    }
    return stream;
  });
}
