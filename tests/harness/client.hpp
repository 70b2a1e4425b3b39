#pragma once

#include "answer.hpp"
#include "common/tcp.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <poll.h>

// What a client got, up to the end of the connection; or, from a server that keeps connections
// open, up to the end of the answer.
struct Answer {
  enum class End { closed, reset, timed_out };
  End end = End::timed_out;
  std::string bytes;
  Clock::time_point at;  // when the end came

  // `to_head`: to a HEAD, which has no body, whatever its fields say.
  Reading read(bool to_head = false) const;
  int status() const { return read().status; }  // 200; 0 without a status line
  std::string body(bool to_head = false) const { return read(to_head).body; }
  // All of it has come, and no reset after it.
  bool is_whole(bool to_head = false) const;
  bool is_ok() const { return is_whole() && status() == 200; }
  bool is_quiet_close() const { return end == End::closed && bytes.empty(); }
  bool is_kept_open(bool to_head = false) const {
    return end == End::timed_out && is_whole(to_head);
  }
  // "404, whole", "cut off without 44 of 117 bytes of the body", "reset after 0 bytes"
  std::string text(bool to_head = false) const;
};

// Is the server one that closes the connection after an answer, as every request asks it to? One
// that is known not to is not waited for any longer.
inline std::atomic<bool> closes_after_answer = true;

// What clients that read to the end have met in this process: whether anybody got a single byte,
// whether anybody waited in vain, and whether a connection stayed open.
struct Met {
  std::atomic<bool> answers = false;
  std::atomic<bool> silence = false;
  std::atomic<bool> open_connections = false;
};
inline Met met;

// How requests spell the names of their fields, which is up to them (RFC 9110 §5.1).
enum class FieldNames { usual, lower, upper };
inline std::atomic<FieldNames> field_names = FieldNames::usual;

// A new socket on its way to 127.0.0.1:`port`: writable once that has been decided. Invalid if it
// was refused at once. Closing it resets the connection, which leaves no TIME_WAIT on either side:
// ports are finite, and the kernel's table is quick to read only while it is short.
FileDescriptor start_connecting(std::uint16_t port);
// What has gone wrong with it: 0, ECONNREFUSED, or ECONNRESET.
int socket_error(const FileDescriptor& socket);

struct WasReset : std::runtime_error {
  WasReset() : std::runtime_error("a client was let in, and then reset") {}
};

// A client of the server under test. Its end is a reset.
class Client {
 public:
  // Connects to 127.0.0.1:`port`. nullopt: refused, or not within `limit`. Throws
  // WasReset if the connection is made only to be reset.
  static std::optional<Client> connect(std::uint16_t port,
                                       std::chrono::milliseconds limit = std::chrono::seconds(10));

  // Connects, or throws std::runtime_error; then sends.
  explicit Client(std::uint16_t port, std::string_view request = {});
  Client(Client&&) = default;
  Client& operator=(Client&&) = default;

  // Our own port, by which the kernel's table knows us.
  std::uint16_t port() const { return port_; }

  // Sends it all, unless the server stops reading, has answered or has closed: then false.
  bool send(std::string_view bytes);
  void half_close();
  void reset();

  // Reads to the end. When a whole answer is there, the close has a second to come.
  Answer read(std::chrono::milliseconds limit = std::chrono::seconds(15), bool to_head = false);

  // What has come so far, and is left to be read: up to 64 KiB.
  Answer peek() const;
  // Is a whole answer there, or the end?
  bool has_answer() const;

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

  // Sends `request` once it is connected; "": nothing.
  Exchange(std::uint16_t port, std::string request);

  // What to wait for; nothing once it is over.
  pollfd wanted() const;
  // Goes on as far as it can without waiting.
  void advance();
  // Sends more. What does not fit is lost: for a few bytes only.
  void send(std::string_view bytes);
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

// "GET /sleep HTTP/1.1" and so on, with `fields` beside Host and Connection: close.
std::string request(std::string_view target, std::string_view method = "GET",
                    std::string_view fields = "");

// The whole conversation.
Answer ask(std::uint16_t port, std::string_view target);
