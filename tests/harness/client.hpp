#pragma once

#include "common/tcp.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <poll.h>

// What a client got, up to the end of the connection.
struct Answer {
  enum class End { closed, reset, timed_out };
  End end = End::timed_out;
  std::string bytes;
  Clock::time_point at;  // when the end came

  int status() const;  // 200; 0 without a status line
  std::string body() const;
  // A status line, a body as long as Content-Length says (none after a HEAD), and an orderly end.
  bool is_whole(bool to_head = false) const;
  bool is_ok() const { return is_whole() && status() == 200; }
  bool is_quiet_close() const { return end == End::closed && bytes.empty(); }
  std::string text() const;  // "404, whole", "reset after 0 bytes"
};

// A new socket on its way to 127.0.0.1:`port`: writable once that has been decided. Invalid if it
// was refused at once. Closing it resets the connection, which leaves no TIME_WAIT on either side:
// ports are finite, and the kernel's table is quick to read only while it is short.
FileDescriptor start_connecting(std::uint16_t port);
// What has gone wrong with it: 0, ECONNREFUSED, or ECONNRESET.
int socket_error(const FileDescriptor& socket);

// A client of the server under test. Its end is a reset.
class Client {
 public:
  // Connects to 127.0.0.1:`port`. nullopt: refused, or not within 10 s. Throws std::runtime_error
  // if the connection is made only to be reset.
  static std::optional<Client> connect(std::uint16_t port);

  // Connects, or throws std::runtime_error; then sends.
  explicit Client(std::uint16_t port, std::string_view request = {});
  Client(Client&&) = default;
  Client& operator=(Client&&) = default;

  // Our own port, by which the kernel's table knows us.
  std::uint16_t port() const { return port_; }

  // Sends it all, unless the server stops reading or has closed: then false.
  bool send(std::string_view bytes);
  void half_close();
  void reset();

  // Reads to the end.
  Answer read(std::chrono::milliseconds limit = std::chrono::seconds(15));

  const FileDescriptor& socket() const { return socket_; }

 private:
  explicit Client(FileDescriptor socket);

  FileDescriptor socket_;
  std::uint16_t port_ = 0;
};

// One request and its answer, for who waits for many at once, with poll().
class Exchange {
 public:
  enum class Step { connecting, reading, refused, ended };

  Exchange(std::uint16_t port, std::string request);

  // What to wait for; nothing once it is over.
  pollfd wanted() const;
  // Goes on as far as it can without waiting.
  void advance();
  // Gives up, with a reset.
  void abandon();

  Step step() const { return step_; }
  bool is_over() const { return step_ == Step::refused || step_ == Step::ended; }
  const Answer& answer() const { return answer_; }
  // Our own port, by which the kernel's table knows us.
  std::uint16_t port() const { return port_; }
  Clock::time_point start() const { return start_; }

 private:
  Clock::time_point start_ = Clock::now();
  std::string request_;
  FileDescriptor socket_;
  std::uint16_t port_ = 0;
  Step step_ = Step::connecting;
  Answer answer_;
};

// "GET /sleep HTTP/1.1" and so on.
std::string request(std::string_view target, std::string_view method = "GET",
                    std::string_view fields = "");

// The whole conversation.
Answer ask(std::uint16_t port, std::string_view target);
