#include "client.hpp"

#include "process.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

using namespace std::chrono_literals;

namespace {

// Bytes. What comes beyond is not read.
constexpr std::size_t longest_answer = 16 << 20;
// What is longer is an answer for sure.
constexpr std::size_t most_peeked = 64 << 10;

sockaddr_in localhost(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
  pollfd what{fd, events, 0};
  return poll_until({&what, 1}, deadline) == 1;
}

std::uint16_t own_port(const FileDescriptor& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// Reads what has come, or a part of it: who sends without end must not keep us here. True at the
// end of the connection.
bool receive(const FileDescriptor& socket, Answer& answer) {
  static thread_local std::array<char, 65536> buffer;
  const ssize_t count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  if (count > 0) answer.bytes.append(buffer.data(), static_cast<std::size_t>(count));
  if (count > 0 || (count == -1 && errno == EAGAIN)) return false;
  answer.at = Clock::now();
  // Linux hides a reset that follows a FIN: recv() says 0, and only SO_ERROR knows.
  const bool closed = count == 0 && socket_error(socket) == 0;
  answer.end = closed ? Answer::End::closed : Answer::End::reset;
  return true;
}

}  // namespace

Reading Answer::read(bool to_head) const { return read_answer(bytes, end == End::closed, to_head); }

bool Answer::is_whole(bool to_head) const {
  return end != End::reset && read(to_head).state == Reading::State::whole;
}

std::string Answer::text(bool to_head) const {
  const Reading reading = read(to_head);
  const std::string status = reading.status == 0 ? "" : std::to_string(reading.status) + ", ";
  switch (reading.state) {
    case Reading::State::whole:
      return status + (end == End::reset ? "whole, and then a reset" : "whole");
    case Reading::State::faulty:
      return status + "but not as HTTP has it: " + reading.what;
    case Reading::State::unfinished:
      break;
  }
  if (end == End::reset) return "reset after " + std::to_string(bytes.size()) + " bytes";
  if (bytes.empty()) return end == End::closed ? "closed without an answer" : "no answer";
  return status + (end == End::closed ? "cut off without " : "still without ") + reading.what;
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

std::optional<Client> Client::connect(std::uint16_t port, std::chrono::milliseconds limit) {
  FileDescriptor socket = start_connecting(port);
  if (socket.get() == -1 || !wait_for(socket.get(), POLLOUT, Clock::now() + limit))
    return std::nullopt;
  const int error = socket_error(socket);
  // Both ends of one connection may be the same socket, where the port is one that clients get,
  // too.
  if (error == ECONNREFUSED || own_port(socket) == port) return std::nullopt;
  if (error != 0) throw WasReset();
  return Client(std::move(socket));
}

Client::Client(std::uint16_t port, std::string_view request) {
  const auto start = Clock::now();
  std::optional<Client> client = connect(port);
  if (!client)
    throw std::runtime_error(Clock::now() < start + 9s ? "connection refused"
                                                       : "a client was not let in for 10 s");
  *this = std::move(*client);
  send(request);
}

bool Client::send(std::string_view bytes) {
  const auto deadline = Clock::now() + 15s;
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EAGAIN || Clock::now() > deadline || has_answer()) {
      return false;  // who is answered meanwhile goes on no longer (RFC 9112 §9.5)
    } else {
      wait_for(socket_.get(), POLLOUT, std::min(deadline, Clock::now() + 50ms));
    }
  }
  return true;
}

void Client::half_close() { ::shutdown(socket_.get(), SHUT_WR); }

void Client::reset() { socket_ = FileDescriptor(); }

Answer Client::peek() const {
  Answer answer;
  pollfd what{socket_.get(), POLLIN | POLLRDHUP, 0};
  if (poll_until({&what, 1}, Clock::now()) == 0) return answer;
  // A reset is told once, and that is for who reads.
  if ((what.revents & POLLERR) != 0) {
    answer.end = Answer::End::reset;
    return answer;
  }
  answer.bytes.resize(most_peeked);
  const ssize_t count =
      ::recv(socket_.get(), answer.bytes.data(), answer.bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  answer.bytes.resize(static_cast<std::size_t>(std::max(count, ssize_t{0})));
  if ((what.revents & POLLRDHUP) != 0) answer.end = Answer::End::closed;
  return answer;
}

bool Client::has_answer() const {
  const Answer answer = peek();
  return answer.end != Answer::End::timed_out || answer.bytes.size() == most_peeked ||
         answer.read().state != Reading::State::unfinished;
}

Answer Client::read(std::chrono::milliseconds limit, bool to_head) {
  auto deadline = Clock::now() + limit;
  Answer answer;
  bool whole = false;
  bool close_is_due = false;
  while (answer.bytes.size() < longest_answer && wait_for(socket_.get(), POLLIN, deadline)) {
    const bool ended = receive(socket_, answer);
    if (!answer.bytes.empty()) met.answers = true;
    if (ended) return answer;
    if (!whole && answer.is_whole(to_head)) {
      whole = true;
      const auto close_at = Clock::now() + (closes_after_answer ? 1s : 0s);
      close_is_due = close_at < std::exchange(deadline, std::min(deadline, close_at));
    }
  }
  answer.at = Clock::now();
  if (close_is_due) met.open_connections = true;
  if (answer.bytes.empty() && limit >= 1s) met.silence = true;
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
    if (receive(socket_, answer_) || answer_.bytes.size() >= longest_answer ||
        (!closes_after_answer && answer_.is_whole()))
      step_ = Step::ended;
  } else if (const int error = socket_error(socket_)) {
    step_ = error == ECONNREFUSED ? Step::refused : Step::ended;
    answer_.end = Answer::End::reset;
  } else {
    send(request_);
    step_ = Step::reading;
  }
}

void Exchange::send(std::string_view bytes) {
  ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void Exchange::abandon() {
  socket_ = FileDescriptor();
  step_ = Step::ended;
}

std::string request(std::string_view target, std::string_view method, std::string_view fields) {
  std::string names = "Host: localhost\r\nConnection: close\r\n";
  names += fields;
  bool in_name = true;
  for (char& c : names) {
    if (c == ':' || c == '\n') in_name = c == '\n';
    if (in_name && field_names == FieldNames::lower) c = static_cast<char>(std::tolower(c));
    if (in_name && field_names == FieldNames::upper) c = static_cast<char>(std::toupper(c));
  }
  std::string text(method);
  text += ' ';
  text += target;
  return text + " HTTP/1.1\r\n" + names + "\r\n";
}

Answer ask(std::uint16_t port, std::string_view target) {
  return Client(port, request(target)).read();
}
