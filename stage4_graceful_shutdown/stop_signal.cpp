#include "stop_signal.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/filter.h>
#endif

using namespace std::chrono_literals;

namespace {

constexpr Clock::rep never = 0;
std::atomic<Clock::rep> tripped_at = never;
static_assert(std::atomic<Clock::rep>::is_always_lock_free);  // a handler must not lock

// The self-pipe trick: poll() can wait for a descriptor, but not for a variable. Written once, by
// trip(), and never read, so it stays readable for everyone who asks. Open until the process ends,
// since a signal may come as late as that.
std::array<int, 2> stop_pipe{-1, -1};

extern "C" void on_signal(int signal) {
  const int interrupted_errno = errno;
  if (!stop_signal::trip() && signal == SIGINT) ::_exit(128 + SIGINT);
  errno = interrupted_errno;
}

[[noreturn]] void fail(const char* doing) {
  throw std::system_error(errno, std::generic_category(), doing);
}

// The kernel goes on completing connections until the very close(), which resets those. So drop the
// first packet of new ones (a SYN without ACK): they try again, a second later, find nobody and are
// refused. Two milliseconds let the handshakes under way finish. Other systems have no such filter,
// and POSIX no cure: there a stop under load now and then resets a client.
void refuse_new_connections(TcpListener& listener) {
#ifdef __linux__
  std::array<sock_filter, 5> drop_syn{{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),           // the TCP header's flags (RFC 9293 §3.1)
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),        // SYN and ACK
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),  // SYN alone?
      BPF_STMT(BPF_RET | BPF_K, 0),                     // drop
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),            // keep
  }};
  const sock_fprog program{drop_syn.size(), drop_syn.data()};
  ::setsockopt(listener.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  std::this_thread::sleep_for(2ms);
#else
  static_cast<void>(listener);
#endif
}

bool is_exhaustion(const std::error_code& code) {
  return code == std::errc::too_many_files_open ||
         code == std::errc::too_many_files_open_in_system || code == std::errc::no_buffer_space ||
         code == std::errc::not_enough_memory;
}

// Gives the next connection, as Incoming asks for.
class Acceptor {
 public:
  Acceptor(TcpListener& listener, std::function<void()> rest)
      : listener_(listener), rest_(std::move(rest)) {}

  std::optional<TcpStream> operator()() {
    while (true) {
      const auto stop = stop_signal::time();
      if (stop && !may_go_on(*stop)) return std::nullopt;
      try {
        if (!somebody_is_there()) {
          if (stop) return std::nullopt;
          rest_();
          wait_readable_unless(stop_pipe[0], listener_.fd(), Clock::time_point::max());
        }
        if (std::optional<TcpStream> stream = listener_.try_accept()) return stream;
      } catch (const std::system_error& error) {
        if (!is_exhaustion(error.code())) {
          stop_signal::trip();  // nobody is served any more: the rest is a stop
          listener_.close();
          throw;
        }
        // Out of descriptors, most likely: a client that leaves gives one back. poll() would say
        // at once that there is somebody to accept, so it cannot do the waiting.
        std::this_thread::sleep_for(10ms);
      }
    }
  }

 private:
  // To be asked before accept(), since the kernel makes a socket before it finds that nobody is
  // there: that costs time, and, without a descriptor left, hides that the queue is empty.
  bool somebody_is_there() const {
    pollfd waiting{listener_.fd(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }

  // After the stop only the kernel's queue is left, and it ends. But a flood may fill it up again,
  // or all descriptors be taken: those of silent clients come free after last_call.
  bool may_go_on(Clock::time_point stop) {
    if (!std::exchange(stopping_, true)) refuse_new_connections(listener_);
    return Clock::now() < stop + 2 * stop_signal::last_call;
  }

  TcpListener& listener_;
  std::function<void()> rest_;
  bool stopping_ = false;
};

}  // namespace

void stop_signal::install() {
  if (::pipe(stop_pipe.data()) == -1) fail("cannot make a pipe");
  for (const int fd : stop_pipe)
    set_nonblocking_and_cloexec(fd);
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);  // a macro on macOS, so without ::
  for (const int signal : {SIGINT, SIGTERM}) {
    if (::sigaction(signal, &action, nullptr) == -1) fail("cannot handle a signal");
  }
}

// A handler may call clock_gettime(), which is what now() does, and write().
bool stop_signal::trip() noexcept {
  Clock::rep expected = never;
  if (!tripped_at.compare_exchange_strong(expected, Clock::now().time_since_epoch().count())) {
    return false;
  }
  // One byte into an empty pipe: this neither waits nor fails.
  return ::write(stop_pipe[1], "!", 1) == 1;
}

std::optional<Clock::time_point> stop_signal::time() noexcept {
  const Clock::rep at = tripped_at;
  if (at == never) return std::nullopt;
  return Clock::time_point(Clock::duration(at));
}

void stop_signal::wait() {
  wait_readable(stop_pipe[0], Clock::time_point::max());
}

bool stop_signal::wait_until_last_call(int fd, Clock::time_point deadline) {
  if (!time() && wait_readable_unless(stop_pipe[0], fd, deadline)) return true;
  // Either the deadline has passed, or the stop has come, which brings it nearer.
  if (const auto stop = time()) deadline = std::min(deadline, *stop + last_call);
  return wait_readable(fd, deadline);
}

Incoming stop_signal::incoming(TcpListener& listener, std::function<void()> rest) {
  return Incoming(Acceptor(listener, std::move(rest)));
}
