#pragma once

#include "descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>

// One accepted connection.
class TcpStream {
 public:
  // Takes a non-blocking, connected socket.
  explicit TcpStream(FileDescriptor socket) noexcept : socket_(std::move(socket)) {}

  int fd() const noexcept { return socket_.get(); }

  // Reads what has arrived, without waiting. Returns the number of bytes; 0 if no more will ever
  // arrive (a FIN or an error: to a server they are the same); nullopt if nothing has arrived
  // yet.
  std::optional<std::size_t> try_read(std::span<char> buffer) noexcept;

  // Sends all of `bytes`, however long that takes. Throws std::system_error: "cannot send: ...".
  void write_all(std::string_view bytes);

  // Sends a FIN: the client sees the end of the answer, and may go on sending (a half-close, RFC
  // 9293 §3.6).
  void shutdown_write() noexcept;

 private:
  FileDescriptor socket_;
};

// The connections of a listening socket, one after another: a C++20 input range of TcpStream. It is
// a view, cheap to move, so it can stand to the left of `| std::views::take(n)`.
//
// Where does it wait? `take(n)` still applies `++` after its last element, so a `++` that accepted
// would wait for one client too many (P2406 describes the trap). Here `== end` and `*` wait for the
// next connection and keep it; `++` only drops the one that `*` has returned.
class Incoming : public std::ranges::view_base {
 public:
  // `next` returns the next connection, or nullopt when there will be no more.
  explicit Incoming(std::function<std::optional<TcpStream>()> next) : next_(std::move(next)) {}

  class iterator {
   public:
    using value_type = TcpStream;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit iterator(Incoming& incoming) : incoming_(&incoming) {}

    TcpStream&& operator*() const {
      incoming_->has_current();
      return std::move(*incoming_->current_);
    }
    iterator& operator++() {
      incoming_->has_current();
      incoming_->current_.reset();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !incoming_->has_current(); }

   private:
    Incoming* incoming_;
  };

  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  bool has_current();

  std::function<std::optional<TcpStream>()> next_;
  std::optional<TcpStream> current_;
};

// A listening socket on 127.0.0.1.
class TcpListener {
 public:
  // Listens on `port`; 0 lets the kernel pick one. Throws std::system_error:
  // "cannot listen on 127.0.0.1:7878: Address already in use".
  static TcpListener bind(std::uint16_t port);
  TcpListener(const TcpListener&) = delete;  // nor moved: incoming() points here

  std::uint16_t port() const;
  int fd() const noexcept { return socket_.get(); }

  // Accepts the next connection; nullopt if there is none, or if it failed before it was accepted.
  // Throws std::system_error, "cannot accept: ...", if the listening socket is broken or, unless
  // `patiently`, if file descriptors or memory have run out, which is temporary.
  std::optional<TcpStream> try_accept(bool patiently = false);

  // Every connection, without end. Must not outlive this TcpListener.
  Incoming incoming();

  // Refuses new clients from here on, and resets the connections in the accept queue.
  void close() noexcept { socket_ = FileDescriptor(); }

 private:
  explicit TcpListener(FileDescriptor socket) noexcept : socket_(std::move(socket)) {}

  FileDescriptor socket_;
};
