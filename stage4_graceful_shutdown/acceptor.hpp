#pragma once

#include "common/tcp.hpp"
#include "grace_period.hpp"

#include <array>
#include <functional>
#include <optional>

// How stage 4 accepts: every connection until the stop, then those that the kernel had completed
// by then or was about to complete: their clients are connected. How long it waits for the last
// ones is GracePeriod::last_call().
class Acceptor {
 public:
  // Calls `rest` when no client is waiting, before it waits for one. While an Acceptor lives, the
  // thread that made it waits for memory instead of failing with std::bad_alloc, just as it
  // waits for descriptors: finished requests give both back. Must not outlive `listener` or
  // `grace`.
  Acceptor(TcpListener& listener, const GracePeriod& grace, std::function<void()> rest);

  // However the loop was left: trips the stop, closes `listener` and logs "Shutting down.". So
  // declare it after the pool, which has to drain with the port already closed.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;

  // The connections, one after another. Throws std::system_error if `listener` is broken, and
  // std::runtime_error if time runs out while clients are still in the accept queue.
  Incoming incoming();

 private:
  std::optional<TcpStream> next();
  bool somebody_is_there() const;
  bool wait_for_somebody();
  void refuse_new_connections();
  bool is_handshake_under_way() const;

  TcpListener& listener_;
  const GracePeriod& grace_;
  const std::function<void()> rest_;
  const FileDescriptor table_;  // the kernel's TCP connections; opened while descriptors are left
  const std::array<char, 18> address_;  // ours, as the table prints it
  bool refusing_ = false;
  bool sealed_ = false;             // it succeeded: no new connection can begin
  Clock::time_point accept_until_;  // set once it is refusing
};
