#pragma once

#include "common/tcp.hpp"
#include "grace_period.hpp"

#include <array>
#include <functional>
#include <optional>

// How stage 4 accepts: every connection up to the stop, and then those that the kernel had
// completed before it, or was just about to. To their clients they were made. How long it waits for
// the last ones is GracePeriod::last_call().
class Acceptor {
 public:
  // `rest` is called when nobody is there, before waiting for somebody. While an Acceptor lives,
  // the thread that has made it waits for memory, where it would fail with std::bad_alloc, as it
  // waits for descriptors: requests that are done give both back. Must not outlive `listener` or
  // `grace`.
  Acceptor(TcpListener& listener, const GracePeriod& grace, std::function<void()> rest);

  // However the loop was left: trips the stop, closes the listener, and says "Shutting down.". So
  // declare it after the pool, which has to drain with the door closed.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;

  // The connections, one after the other. It throws std::system_error if the listener is broken,
  // std::runtime_error if the grace period ends while somebody is still there.
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
  const FileDescriptor table_;  // of the kernel's connections; opened while there are descriptors
  const std::array<char, 18> address_;  // ours, as the table has it
  bool refusing_ = false;
  bool sealed_ = false;             // with success: no new connection can begin
  Clock::time_point accept_until_;  // once it is refusing
};
