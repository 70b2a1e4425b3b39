#include "acceptor.hpp"

#include "common/log.hpp"
#include "stop_signal.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

constexpr auto pause_time = 10ms;
constexpr auto handshake_pause = 2ms;

// operator new calls this when it finds no memory, then tries again ([new.handler]). Other threads
// must not wait: they are the ones that free memory.
std::thread::id patient_thread;
void wait_for_memory() {
  if (std::this_thread::get_id() != patient_thread) throw std::bad_alloc();
  std::this_thread::sleep_for(pause_time);
}

// The start of a row of /proc/net/tcp for 127.0.0.1:`port`, after its number: ": 0100007F:1EC6 ",
// the address in network byte order, printed as a native integer.
std::array<char, 18> local_address(std::uint16_t port) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), ": %08X:%04X ", htonl(INADDR_LOOPBACK), port);
  return text;
}

// The client's address and the state follow; state 03 is SYN_RECV (proc(5)):
// "  12: 0100007F:1EC6 0100007F:8A3C 03 ..."
bool has_handshake(std::string_view rows, std::string_view address) {
  for (std::size_t at = rows.find(address); at != rows.npos; at = rows.find(address, at + 1)) {
    const std::size_t state = at + address.size() + std::string_view("0100007F:8A3C ").size();
    if (rows.substr(std::min(state, rows.size())).starts_with("03 ")) return true;
  }
  return false;
}

}  // namespace

Acceptor::Acceptor(TcpListener& listener, const GracePeriod& grace, std::function<void()> rest)
    : listener_(listener),
      grace_(grace),
      rest_(std::move(rest)),
      table_(::open("/proc/net/tcp", O_RDONLY | O_CLOEXEC | O_NONBLOCK)),
      address_(local_address(listener.port())) {
  patient_thread = std::this_thread::get_id();
  std::set_new_handler(wait_for_memory);
}

Acceptor::~Acceptor() {
  std::set_new_handler(nullptr);
  stop_signal::trip();
  listener_.close();
  log_line({"Shutting down."});
  warn_of_dropped_lines();
}

Incoming Acceptor::incoming() {
  return Incoming([this] { return next(); });
}

std::optional<TcpStream> Acceptor::next() {
  bool last_look = false;
  while (true) {
    if (!refusing_ && stop_signal::time()) refuse_new_connections();
    if (refusing_ && Clock::now() > accept_until_) {
      if (!somebody_is_there()) return std::nullopt;
      throw std::runtime_error("gave up clients that were still in the accept queue");
    }
    if (std::optional<TcpStream> stream = listener_.try_accept(/*patiently=*/true)) return stream;
    if (!somebody_is_there()) {
      if (last_look) return std::nullopt;
      last_look = !wait_for_somebody();
    } else if (std::optional<TcpStream> just_come = listener_.try_accept(/*patiently=*/true)) {
      return just_come;
    } else {
      // A client is waiting but cannot be accepted: most likely no descriptor is free until another
      // client leaves. poll(2) would return immediately, so it cannot do the waiting.
      std::this_thread::sleep_for(pause_time);
    }
  }
}

// accept(2) may fail with EMFILE although no client is waiting: it allocates the descriptor first.
bool Acceptor::somebody_is_there() const {
  return wait_ready(listener_.fd(), POLLIN, Clock::now());
}

// Returns false once no more clients can arrive.
bool Acceptor::wait_for_somebody() {
  if (!refusing_) {
    rest_();
    wait_readable_unless(listener_.fd(), Clock::time_point::max(), stop_signal::fd());
    return true;
  }
  // Once sealed, no handshake can begin, and those under way only get fewer. The pause is for a SYN
  // that another CPU was already handling when the refusal began.
  if (wait_readable(listener_.fd(), Clock::now() + handshake_pause)) return true;
  return is_handshake_under_way() && Clock::now() < grace_.last_call();
}

// The kernel completes connections until close(2), which resets those not yet accepted. So bind the
// listening socket to a network interface that does not exist: from now on a new client is refused,
// as if nobody listened here, while handshakes under way still complete (the kernel finds those by
// their four-tuple, not by the listening socket), and accept(2) still works. Linux lets any process
// do that since 5.7. POSIX has no call for it, and we know of none elsewhere. There, a stop
// under load occasionally resets a client.
void Acceptor::refuse_new_connections() {
  refusing_ = true;
  accept_until_ = grace_.end();
#ifdef SO_BINDTOIFINDEX
  const int nowhere = INT_MAX;
  sealed_ =
      ::setsockopt(listener_.fd(), SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof nowhere) == 0;
  if (sealed_) return;
  warn_line({"cannot refuse new connections: ", std::strerror(errno), "."});
#endif
  // New connections keep arriving, so accepting has to end at some time.
  accept_until_ = std::min(accept_until_, Clock::now() + 2s);
}

// A failed read counts as a handshake: the next read may succeed. Without the table nobody knows,
// so there may be one until the last call. But while new connections keep arriving, there is no
// waiting for the last of them.
bool Acceptor::is_handshake_under_way() const {
  if (table_.get() == -1) return sealed_;
  std::array<char, std::size_t{54} * 150> rows;  // each has 150 bytes, so none is split
  ssize_t count = 0;
  for (off_t at = 0; (count = ::pread(table_.get(), rows.data(), rows.size(), at)) > 0;
       at += count) {
    if (has_handshake({rows.data(), static_cast<std::size_t>(count)}, address_.data())) return true;
  }
  return count == -1;
}
