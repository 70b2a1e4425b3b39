#include "tcp.hpp"

#include "error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

sockaddr_in localhost(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

FileDescriptor accept_nonblocking(int listener) {
#ifdef SOCK_NONBLOCK
  return FileDescriptor(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
#else
  // macOS has no accept4(), and its new sockets inherit O_NONBLOCK from the listener; Linux's do
  // not.
  FileDescriptor socket(::accept(listener, nullptr, nullptr));
  if (socket.get() != -1) set_nonblocking_and_cloexec(socket.get());
  return socket;
#endif
}

// Says it that the listener itself is broken, or that this process has no room for a connection?
// Every other error befell one connection before we took it, or passes. (POSIX knows ECONNABORTED;
// accept(2) warns of whatever the network said.)
bool is_of_the_listener(int error) {
  constexpr std::array errors{EBADF, EFAULT, EINVAL, ENOTSOCK, EMFILE, ENFILE, ENOBUFS, ENOMEM};
  return std::ranges::find(errors, error) != errors.end();
}

// The kernel has no memory for a call: that passes, and is no client's fault. True after a pause.
bool is_shortage(int error) noexcept {
  const bool shortage = error == ENOMEM || error == ENOBUFS;
  if (shortage) ::poll(nullptr, 0, 10);
  errno = error;
  return shortage;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ != -1) ::close(fd_);
}

void set_nonblocking_and_cloexec(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags == -1 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
    throw_errno({"cannot set up a descriptor"});
  }
}

bool wait_readable(int fd, Clock::time_point deadline) {
  return wait_readable_unless(-1, fd, deadline);  // poll() passes over -1
}

bool wait_readable_unless(int interrupt, int fd, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left <= 0ms) return false;
    std::array<pollfd, 2> fds{{{.fd = fd, .events = POLLIN, .revents = 0},
                               {.fd = interrupt, .events = POLLIN, .revents = 0}}};
    const int timeout = static_cast<int>(std::min<std::int64_t>(left.count(), INT_MAX));
    if (::poll(fds.data(), fds.size(), timeout) == -1) {
      // EAGAIN is what POSIX calls a shortage here.
      if (!is_shortage(errno) && errno != EAGAIN && errno != EINTR) throw_errno({"cannot wait"});
      continue;
    }
    if (fds[0].revents != 0) return true;
    if (fds[1].revents != 0) return false;
  }
}

std::optional<std::size_t> TcpStream::try_read(std::span<char> buffer) noexcept {
  while (true) {
    const ssize_t count = ::recv(fd(), buffer.data(), buffer.size(), 0);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
    if (!is_shortage(errno) && errno != EINTR) return 0;
  }
}

void TcpStream::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd(), bytes.data(), bytes.size(), 0);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd writable{.fd = fd(), .events = POLLOUT, .revents = 0};
      if (::poll(&writable, 1, -1) == -1 && errno != EINTR) throw_errno({"cannot wait"});
    } else if (!is_shortage(errno) && errno != EINTR) {
      throw_errno({"cannot send"});
    }
  }
}

void TcpStream::shutdown_write() noexcept {
  ::shutdown(fd(), SHUT_WR);
}

bool Incoming::has_current() {
  if (!current_ && !ended_) {
    current_ = next_();
    ended_ = !current_;
  }
  return current_.has_value();
}

TcpListener TcpListener::bind(std::uint16_t port) {
  const std::string number = std::to_string(port);
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  if (socket.get() == -1) throw_errno({"cannot listen on 127.0.0.1:", number});
  set_nonblocking_and_cloexec(socket.get());

  // Who closes first keeps the connection's ports in TIME_WAIT for a minute, lest a late packet
  // reach a new connection. That is us; without this, a restart finds the port in use. Rust sets
  // it, too.
  const int yes = 1;
  const sockaddr_in address = localhost(port);
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
    throw_errno({"cannot tell the port"});
  }
  return ntohs(address.sin_port);
}

std::optional<TcpStream> TcpListener::try_accept() {
  FileDescriptor socket = accept_nonblocking(fd());
  if (socket.get() != -1) return TcpStream(std::move(socket));
  if (is_of_the_listener(errno)) throw_errno({"cannot accept"});
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
