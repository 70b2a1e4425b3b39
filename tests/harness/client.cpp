#include "client.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

using namespace std::chrono_literals;

namespace {

sockaddr_in localhost(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd what{fd, events, 0};
  return ::poll(&what, 1, static_cast<int>(std::max(left, 0ms).count())) == 1;
}

std::uint16_t own_port(const FileDescriptor& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// Reads what has come. True at the end of the connection.
bool receive(const FileDescriptor& socket, Answer& answer) {
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = ::recv(socket.get(), buffer.data(), buffer.size(), 0)) > 0)
    answer.bytes.append(buffer.data(), static_cast<std::size_t>(count));
  if (count == -1 && errno == EAGAIN) return false;
  answer.at = Clock::now();
  // Linux hides a reset that follows a FIN: recv() says 0, and only SO_ERROR knows.
  const bool closed = count == 0 && socket_error(socket) == 0;
  answer.end = closed ? Answer::End::closed : Answer::End::reset;
  return true;
}

}  // namespace

int Answer::status() const {
  int status = 0;
  if (bytes.starts_with("HTTP/1.1 ") && bytes.size() > 12) {
    std::from_chars(bytes.data() + 9, bytes.data() + 12, status);
  }
  return status;
}

std::string Answer::body() const {
  const std::size_t head_end = bytes.find("\r\n\r\n");
  return head_end == std::string::npos ? "" : bytes.substr(head_end + 4);
}

bool Answer::is_whole(bool to_head) const {
  constexpr std::string_view field = "\r\nContent-Length: ";
  const std::size_t at = bytes.find(field);
  if (end != End::closed || status() == 0 || at == std::string::npos) return false;
  const std::size_t length = std::stoul(bytes.substr(at + field.size(), 9));
  return bytes.find("\r\n\r\n") != std::string::npos && body().size() == (to_head ? 0 : length);
}

std::string Answer::text() const {
  if (is_whole()) return std::to_string(status()) + ", whole";
  const std::string size = std::to_string(bytes.size()) + " bytes";
  switch (end) {
    case End::closed:
      return bytes.empty() ? "closed without an answer" : "cut off after " + size;
    case End::reset:
      return "reset after " + size;
    case End::timed_out:
      break;
  }
  return "no end after " + size;
}

FileDescriptor start_connecting(std::uint16_t port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() == -1) throw std::system_error(errno, std::generic_category(), "no socket");
  const int yes = 1;
  const linger reset_on_close{1, 0};
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &reset_on_close, sizeof reset_on_close);
  const sockaddr_in address = localhost(port);
  const int result =
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (result == -1 && errno == ECONNREFUSED) return FileDescriptor();
  // Not the server's fault: no port is left, for example. A reset is, and recv() will tell.
  if (result == -1 && errno != EINPROGRESS && errno != ECONNRESET)
    throw std::system_error(errno, std::generic_category(), "cannot connect");
  return socket;
}

int socket_error(const FileDescriptor& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

Client::Client(FileDescriptor socket) : socket_(std::move(socket)), port_(own_port(socket_)) {}

std::optional<Client> Client::connect(std::uint16_t port) {
  FileDescriptor socket = start_connecting(port);
  if (socket.get() == -1 || !wait_for(socket.get(), POLLOUT, Clock::now() + 10s))
    return std::nullopt;
  const int error = socket_error(socket);
  if (error == ECONNREFUSED) return std::nullopt;
  if (error != 0) throw std::runtime_error("connected, then reset");
  return Client(std::move(socket));
}

Client::Client(std::uint16_t port, std::string_view request) {
  std::optional<Client> client = connect(port);
  if (!client) throw std::runtime_error("connection refused");
  *this = std::move(*client);
  send(request);
}

bool Client::send(std::string_view bytes) {
  const auto deadline = Clock::now() + 15s;
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EAGAIN || !wait_for(socket_.get(), POLLOUT, deadline)) {
      return false;
    }
  }
  return true;
}

void Client::half_close() { ::shutdown(socket_.get(), SHUT_WR); }

void Client::reset() { socket_ = FileDescriptor(); }

Answer Client::read(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  Answer answer;
  while (wait_for(socket_.get(), POLLIN, deadline)) {
    if (receive(socket_, answer)) return answer;
  }
  answer.at = Clock::now();
  return answer;
}

Exchange::Exchange(std::uint16_t port, std::string request)
    : request_(std::move(request)), socket_(start_connecting(port)) {
  if (socket_.get() == -1) {
    step_ = Step::refused;
  } else {
    port_ = own_port(socket_);
  }
}

pollfd Exchange::wanted() const {
  const short event = step_ == Step::connecting ? POLLOUT : POLLIN;
  return {is_over() ? -1 : socket_.get(), event, 0};
}

void Exchange::advance() {
  if (step_ == Step::reading) {
    if (receive(socket_, answer_)) step_ = Step::ended;
  } else if (const int error = socket_error(socket_)) {
    step_ = error == ECONNREFUSED ? Step::refused : Step::ended;
    answer_.end = Answer::End::reset;
  } else {
    ::send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    step_ = Step::reading;
  }
}

void Exchange::abandon() {
  socket_ = FileDescriptor();
  step_ = Step::ended;
}

std::string request(std::string_view target, std::string_view method, std::string_view fields) {
  std::string text(method);
  text += ' ';
  text += target;
  text += " HTTP/1.1\r\nHost: localhost\r\n";
  text += fields;
  return text + "\r\n";
}

Answer ask(std::uint16_t port, std::string_view target) {
  return Client(port, request(target)).read();
}
