// The simulated kernel. Each of its rules has a name and a source; conversations.cpp holds them
// against the real one. "tcp.c" and the like are files of Linux.

#include "kernel.hpp"

#include "real.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

using namespace explore;

Kernel explore::kernel;

namespace {

// One end of a connection, or a listener, or neither yet.
struct Socket {
  enum State { fresh, listening, handshake, connected, closed } state = fresh;
  std::uint16_t port = 0;
  Socket* peer = nullptr;
  std::string arrived;      // and not yet read
  bool ended = false;       // by the peer's FIN
  bool end_sent = false;    // our own
  bool reads_over = false;  // by shutdown()
  bool reset = false;
  int error = 0;           // that nobody has been told of
  bool gone = false;       // closed by its owner
  std::size_t client = 0;  // the thread that has connected to it
  bool resets_at_close = false;
  bool nowhere = false;  // bound to an interface that does not exist
  bool defers = false;   // the end of a handshake, until the first bytes
  std::size_t backlog = 0;
  std::deque<Socket*> handshakes;
  std::deque<Socket*> queue;
};

struct Pipe {
  std::string bytes;
  int readers = 0;
  int writers = 0;
  bool is_log = false;  // of a reader who reads at once
};

struct Descriptor {
  enum Kind { none, socket, pipe_end, file, table } kind = none;
  Socket* of_socket = nullptr;
  Pipe* of_pipe = nullptr;
  const std::string* text = nullptr;  // a file's; nullptr: /dev/null
  std::size_t at = 0;
  bool writes = false;
  bool nonblocking = false;
  bool closes_on_exec = false;
};

constexpr std::size_t pipe_size = 65536;  // pipe(7)
constexpr std::size_t most_descriptors = 128;

// Each run makes the same ones at the same addresses, so that runs can be compared.
template <typename T, std::size_t most>
struct Made {
  T& add() {
    if (count == most) world.fail("too large", "explore has no room for so many sockets or pipes.");
    return all[count++] = T();
  }
  T* begin() { return all.data(); }
  T* end() { return all.data() + count; }

  std::array<T, most> all;
  std::size_t count = 0;
};
Made<Socket, 128> sockets;
Made<Pipe, 32> pipes;

struct State {
  std::array<std::array<Descriptor, most_descriptors>, 2> tables;  // the program's, its clients'
  std::array<struct sigaction, NSIG> actions{};
  std::uint64_t pending = 0;
  std::array<int, max_threads> handlers{};   // how many a thread runs
  std::array<bool, max_threads> restarts{};  // what the last one interrupted
  std::uint16_t next_port = 40000;
  int alarms = 0;
  bool has_listened = false;
};
State state;

// What concerns all listeners: one object, since a client finds its listener by the port.
const int network = 0;
const int signals = 0;

bool simulated() { return world.in_program && kernel.on; }
int fail(int error) {
  errno = error;
  return -1;
}
[[noreturn]] void not_simulated(const std::string& what) {
  world.fail("not simulated", "explore does not simulate " + what + ".");
}
std::uint64_t bit(int signal) { return std::uint64_t{1} << signal; }
std::uint64_t bits(const sigset_t& set) {
  std::uint64_t all = 0;
  for (int signal = 1; signal < NSIG; ++signal)
    all |= ::sigismember(&set, signal) == 1 ? bit(signal) : 0;
  return all;
}

// --- descriptors ---------------------------------------------------------------------------------

bool is_open(const Descriptor& d) { return d.kind != Descriptor::none; }

std::span<Descriptor> descriptors() {
  if (is_outside(*world.current)) return state.tables[1];
  return std::span(state.tables[0])
      .first(std::min(kernel.conditions.descriptors, most_descriptors));
}

// Rule closed_descriptor: a number that is not open is EBADF (POSIX, each call's ERRORS).
Descriptor* find(int fd) {
  auto& all = state.tables[is_outside(*world.current) ? 1 : 0];
  const bool open = fd >= 0 && fd < static_cast<int>(all.size()) &&
                    all[static_cast<std::size_t>(fd)].kind != Descriptor::none;
  if (!open) errno = EBADF;
  return open ? &all[static_cast<std::size_t>(fd)] : nullptr;
}

Socket* find_socket(int fd) {
  const Descriptor* const found = find(fd);
  if (found != nullptr && found->of_socket == nullptr) errno = ENOTSOCK;
  return found == nullptr ? nullptr : found->of_socket;
}

// Rule lowest_number: a new descriptor has the lowest number that is free (POSIX 2.6).
// Rule descriptor_limit: if none is, EMFILE (getrlimit(2), RLIMIT_NOFILE).
int add(const Descriptor& descriptor) {
  const auto all = descriptors();
  const auto free = std::ranges::find(all, Descriptor::none, &Descriptor::kind);
  if (free == all.end()) return fail(EMFILE);
  *free = descriptor;
  if (descriptor.of_pipe != nullptr)
    ++(descriptor.writes ? descriptor.of_pipe->writers : descriptor.of_pipe->readers);
  return static_cast<int>(free - all.begin());
}

// Until it is `ready`, or not at all if the descriptor does not wait.
// Rule interrupted: a signal's handler ends a wait with EINTR; without SA_RESTART that is every
// wait, and with it all but poll() and the sleeps (signal(7)).
template <typename Ready>
bool act(const Step& step, bool nonblocking, const Ready& ready) {
  if (nonblocking) return world.step(step);
  while (!world.step(step, ready, never, true)) {
    if (!state.restarts[world.current->id]) return false;
  }
  return true;
}

// --- connections ---------------------------------------------------------------------------------

// Rule reset_error: a reset is told once, as ECONNRESET, or EPIPE if the peer had ended its side
// (tcp_input.c, tcp_reset).
// Rule reset_destroys: it destroys what has arrived and was not read; it may, that is: the RFC says
// so, and Linux spares it (RFC 9293 §3.10.7.4; RFC 9112 §9.6; tcp.c, tcp_recvmsg_locked).
void reset(Socket& socket) {
  if (socket.reset || socket.gone) return;
  socket.error = socket.ended ? EPIPE : ECONNRESET;
  socket.reset = true;
  const bool spares = kernel.conditions.gentle && !socket.arrived.empty() && world.which(2) == 1;
  if (!spares) socket.arrived.clear();
}

Socket* listener_at(std::uint16_t port) {
  const auto listens = [port](const Socket& s) {
    return s.state == Socket::listening && s.port == port;
  };
  const auto found = std::ranges::find_if(sockets, listens);
  return found == sockets.end() ? nullptr : &*found;
}

void put_address(std::uint16_t port, sockaddr* address, socklen_t* size) {
  sockaddr_in named{};
  named.sin_family = AF_INET;
  named.sin_port = htons(port);
  named.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::memcpy(address, &named, std::min<std::size_t>(*size, sizeof named));
  *size = sizeof named;
}

// Rule backlog: backlog + 1 connections wait to be accepted; a client that comes then is not
// answered, and tries again (listen(2); sock.h, sk_acceptq_is_full).
bool is_full(const Socket& listener) { return listener.queue.size() > listener.backlog; }

// Rule handshake_completes: a handshake that is under way completes, also when new ones are refused
// (inet_hashtables.c: it is found by its four numbers); accept() is not needed for it.
// Rule handshake_reset: unless the listener has been closed, which resets it (RFC 9293 §3.10.7.1).
void complete(Socket& accepted) {
  const auto under_way = [&](const Socket& s) {
    return std::ranges::find(s.handshakes, &accepted) != s.handshakes.end();
  };
  const auto listener = std::ranges::find_if(sockets, under_way);
  if (listener == sockets.end()) return reset(*accepted.peer);
  std::erase(listener->handshakes, &accepted);
  accepted.state = Socket::connected;
  listener->queue.push_back(&accepted);
}

// Rule close_unread: closing with unread input sends a reset (RFC 9112 §9.6, RFC 1122 §4.2.2.13,
// tcp.c, tcp_close).
// Rule linger_zero: so does closing with a linger time of 0 (socket(7), SO_LINGER).
// Rule close_ends: otherwise a close sends a FIN.
void close_connection(Socket& socket) {
  if (!socket.reset && socket.state == Socket::connected) {
    if (!socket.arrived.empty() || socket.resets_at_close) {
      reset(*socket.peer);
    } else {
      socket.peer->ended = true;
    }
  }
  socket.gone = true;
  socket.arrived.clear();
}

// Rule close_listener: closing a listener resets what waits in its accept queue, and forgets the
// handshakes (inet_connection_sock.c, inet_csk_listen_stop).
void close_listener(Socket& listener) {
  for (Socket* waiting : listener.queue) {
    reset(*waiting->peer);
    waiting->gone = true;
  }
  listener.queue.clear();
  listener.handshakes.clear();
  listener.state = Socket::closed;
}

void close_now(Descriptor& descriptor) {
  const Descriptor closed = std::exchange(descriptor, {});
  if (closed.of_pipe != nullptr)
    --(closed.writes ? closed.of_pipe->writers : closed.of_pipe->readers);
  if (closed.of_socket == nullptr) return;
  if (closed.of_socket->state == Socket::listening) return close_listener(*closed.of_socket);
  close_connection(*closed.of_socket);
}

Step step_on(const char* what, const Descriptor& d, Step::Effect effect = Step::changes) {
  if (d.kind == Descriptor::table) return {what, &network, nullptr, effect};
  if (d.of_socket == nullptr) return {what, d.of_pipe, nullptr, effect};
  if (d.of_socket->state == Socket::listening) return {what, &network, nullptr, effect};
  return {what, d.of_socket, effect == Step::changes ? d.of_socket->peer : nullptr, effect};
}

// --- poll ----------------------------------------------------------------------------------------

// Rule poll_listener: a listener can be read when a connection waits to be accepted (accept(2)).
// Rule poll_input: a connection can be read when bytes, an end or an error have come (tcp.c,
// tcp_poll).
// Rule poll_output: it can be written to when there is room, or when that would fail (tcp_poll).
// Rule poll_hangup: POLLHUP when both sides have ended, or it was reset, and POLLERR while an error
// is there to be told; nobody need ask for these (poll(2), tcp_poll).
short events_of(const Socket& s) {
  if (s.state == Socket::listening) return s.queue.empty() ? 0 : POLLIN;
  if (s.state == Socket::handshake) return 0;
  const bool over = s.reset || s.state == Socket::fresh || s.state == Socket::closed;
  short events = 0;
  if (over || (s.ended && s.end_sent)) events |= POLLHUP;
  if (!s.arrived.empty() || s.ended || s.reads_over || s.reset) events |= POLLIN;
  if (over || s.end_sent || (s.peer->arrived.size() < kernel.conditions.window / 2))
    events |= POLLOUT;
  if (s.error != 0) events |= POLLERR;
  return events;
}

// Rule poll_pipe: a pipe can be read when it has bytes, written to when PIPE_BUF bytes have room;
// POLLHUP when nobody can write any more, POLLERR when nobody can read (pipe(7), pipe.c).
short events_of(const Pipe& pipe, bool writes) {
  if (writes) {
    const bool room = pipe_size - pipe.bytes.size() >= PIPE_BUF;
    return static_cast<short>((room ? POLLOUT : 0) | (pipe.readers == 0 ? POLLERR : 0));
  }
  return static_cast<short>((pipe.bytes.empty() ? 0 : POLLIN) | (pipe.writers == 0 ? POLLHUP : 0));
}

// Rule poll_file: a file never makes anybody wait (poll(2)).
// Rule poll_closed: POLLNVAL for a number that is not open (poll(2)).
short events_of(const Descriptor& d) {
  if (d.kind == Descriptor::none) return POLLNVAL;
  if (d.of_socket != nullptr) return events_of(*d.of_socket);
  if (d.of_pipe != nullptr) return events_of(*d.of_pipe, d.writes);
  return POLLIN | POLLOUT;
}

// --- /proc/net/tcp -------------------------------------------------------------------------------

// Rule table: a row of 150 bytes for each socket: its address and port, the peer's, and its state,
// of which 0A is a listener, 03 a handshake under way, 01 a connection (proc(5), tcp_ipv4.c).
std::string table_text() {
  std::string text;
  const auto add_row = [&text](std::string row) {
    row.resize(149, ' ');
    text += row + '\n';
  };
  add_row(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode");
  int number = 0;
  for (const Socket& s : sockets) {
    const int code = s.state == Socket::listening ? 0x0A : s.state == Socket::handshake ? 3 : 1;
    const bool handshake_is_over = s.state == Socket::handshake && (listener_at(s.port) == nullptr);
    if (s.state == Socket::fresh || s.state == Socket::closed || s.gone || s.reset ||
        handshake_is_over)
      continue;
    std::array<char, 150> row{};
    std::snprintf(
        row.data(), row.size(),
        "%4d: 0100007F:%04X %08X:%04X %02X 00000000:00000000 00:00000000 00000000     0        0 0",
        number++, s.port, s.peer == nullptr ? 0 : 0x0100007F, s.peer == nullptr ? 0 : s.peer->port,
        code);
    add_row(row.data());
  }
  return text;
}

ssize_t read_at(const Descriptor& d, void* buffer, std::size_t size, std::size_t offset) {
  std::string text;
  if (d.kind == Descriptor::table) {
    world.step(step_on("pread", d, Step::reads));
    text = table_text();
  } else if (d.kind != Descriptor::file) {
    return fail(ESPIPE);
  } else if (d.text != nullptr) {
    text = *d.text;
  }
  const std::size_t at = std::min(offset, text.size());
  const std::size_t count = std::min(size, text.size() - at);
  std::memcpy(buffer, text.data() + at, count);
  return static_cast<ssize_t>(count);
}

// --- signals -------------------------------------------------------------------------------------

// Rule deferred: while its handler runs, a signal is held back, and so is one that is blocked,
// until it is not; of several that are alike one is left (sigaction(2), signal(7)).
void deliver_pending();
void run_handler(int signal) {
  Thread& self = *world.current;
  const struct sigaction action = state.actions[static_cast<std::size_t>(signal)];
  const std::uint64_t blocked = std::exchange(self.blocked, self.blocked | bit(signal));
  if ((action.sa_flags & SA_RESETHAND) != 0)
    state.actions[static_cast<std::size_t>(signal)].sa_handler = SIG_DFL;
  if ((action.sa_flags & SA_NODEFER) != 0) self.blocked = blocked;
  self.blocked |= bits(action.sa_mask);
  ++state.handlers[self.id];
  {
    const bool before = std::exchange(world.in_program, true);
    action.sa_handler(signal);
    world.in_program = before;
  }
  --state.handlers[self.id];
  state.restarts[self.id] = (action.sa_flags & SA_RESTART) != 0;
  self.blocked = blocked;
  deliver_pending();
  if (self.signal != 0) run_handler(std::exchange(self.signal, 0));
}

bool can_take(const Thread& thread, int signal) {
  return (thread.state == Thread::running || thread.state == Thread::fresh) &&
         !is_outside(thread) && thread.signal == 0 && (thread.blocked & bit(signal)) == 0;
}

// Rule any_thread: any thread that does not block a signal may get it; Linux prefers main
// (signal(7), signal.c, complete_signal).
void deliver_pending() {
  for (int signal = 1; signal < NSIG; ++signal) {
    if ((state.pending & bit(signal)) == 0) continue;
    std::array<Thread*, max_threads> able;
    int count = 0;
    for (Thread& thread : std::span(world.threads).first(world.count)) {
      if (can_take(thread, signal)) able[static_cast<std::size_t>(count++)] = &thread;
    }
    if (count == 0) continue;
    state.pending &= ~bit(signal);
    Thread& thread = *able[static_cast<std::size_t>(world.which(count))];
    thread.signal = signal;
  }
}

// Rule default_action: a signal without a handler ends the process, unless it is ignored
// (signal(7)).
void raise_here(int signal) {
  const auto handler = state.actions[static_cast<std::size_t>(signal)].sa_handler;
  if (handler == SIG_IGN || (handler == SIG_DFL && signal == SIGCHLD)) return;
  if ((world.current->blocked & bit(signal)) != 0) {
    state.pending |= bit(signal);
  } else if (handler == SIG_DFL) {
    kernel.ended_by = signal;
    kernel.end_process(128 + signal);
  } else {
    run_handler(signal);
  }
}

// Rule sigpipe: a write that fails with EPIPE raises SIGPIPE, unless MSG_NOSIGNAL (send(2),
// pipe(7)).
int broken_pipe(bool quietly) {
  if (!quietly && !is_outside(*world.current)) raise_here(SIGPIPE);
  return fail(EPIPE);
}

int set_alarm(Time after) {
  const int number = ++state.alarms;
  if (after == 0) return 0;
  world.start(
      "alarm",
      [number, until = world.now + after] {
        const Outside outside;
        world.step(
            {"alarm", &signals},
            [number] { return state.alarms != number || kernel.process_has_ended; }, until);
        if (state.alarms == number) kernel.send(SIGALRM);
      },
      Thread::outside);
  return 0;
}

}  // namespace

void Kernel::reset() {
  state = State();
  sockets.count = pipes.count = 0;
  process_has_ended = accept_has_failed = false;
  ended_by = 0;
  stopped_at = never;
  printed.clear();
  left_running = accepted = {};
  Pipe& log = pipes.add();
  log.is_log = conditions.log_is_read;
  log.readers = 1;
  if (!log.is_log) log.bytes.resize(pipe_size);
  for (const std::size_t fd : {0, 1, 2}) {
    state.tables[0][fd] =
        state.tables[1][fd] = {.kind = Descriptor::pipe_end, .of_pipe = &log, .writes = fd > 0};
  }
  log.writers = 4;
  log.readers += 2;
  world.handle_signal = run_handler;
}

void Kernel::ignore(int signal) {
  state.actions[static_cast<std::size_t>(signal)].sa_handler = SIG_IGN;
}
bool Kernel::handles(int signal) const {
  const auto handler = state.actions[static_cast<std::size_t>(signal)].sa_handler;
  return handler != SIG_DFL && handler != SIG_IGN;
}
bool Kernel::has_listened() const { return state.has_listened; }
bool Kernel::listens() const {
  return std::ranges::find(sockets, Socket::listening, &Socket::state) != sockets.end();
}
std::size_t Kernel::client_at(int fd) const {
  const bool open = fd >= 0 && fd < static_cast<int>(most_descriptors);
  const Socket* const socket =
      open ? state.tables[0][static_cast<std::size_t>(fd)].of_socket : nullptr;
  return socket == nullptr ? 0 : socket->client;
}
bool Kernel::in_handler(const Thread& thread) const { return state.handlers[thread.id] > 0; }

void Kernel::send(int signal) {
  if (process_has_ended) return;
  if (stopped_at == never) stopped_at = world.now;
  const auto handler = state.actions[static_cast<std::size_t>(signal)].sa_handler;
  if (handler == SIG_IGN) return;
  state.pending |= bit(signal);
  if (handler == SIG_DFL) {
    const auto open = [signal](const Thread& t) { return can_take(t, signal); };
    if (std::ranges::none_of(std::span(world.threads).first(world.count), open)) return;
    ended_by = signal;
    end_process(128 + signal);
  }
  deliver_pending();
}

// The end of a process closes all its descriptors (_exit(2)).
void Kernel::end_process(int status) {
  world.exit_status = status;
  process_has_ended = true;
  ended_at = world.now;
  for (Thread& thread : std::span(world.threads).first(world.count)) {
    if (is_outside(thread)) continue;
    left_running[thread.id] = thread.id > 0 && thread.state != Thread::joined;
    if (&thread != world.current) thread.state = Thread::unused;
  }
  left_open = std::ranges::count_if(state.tables[0], [](const Descriptor& d) {
    return is_open(d) && d.kind != Descriptor::pipe_end;
  });
  for (Descriptor& descriptor : state.tables[0]) close_now(descriptor);
  const auto done = [self = world.current] {
    for (const Thread& thread : std::span(world.threads).first(world.count)) {
      if (is_outside(thread) && &thread != self && thread.state == Thread::running) return false;
    }
    return true;
  };
  world.current->signal = 0;
  world.step({"exit", &network, &signals}, done);
  world.end();
}

// --- what the program calls ----------------------------------------------------------------------

extern "C" {

int socket(int domain, int type, int protocol) {
  if (!simulated()) return real<decltype(socket)>("socket")(domain, type, protocol);
  const Outside outside;
  if (const int error = world.meets("socket")) return fail(error);
  if (domain != AF_INET || (type & 0xF) != SOCK_STREAM) not_simulated("this kind of socket");
  Socket& made = sockets.add();
  return add(
      {.kind = Descriptor::socket, .of_socket = &made, .nonblocking = (type & SOCK_NONBLOCK) != 0});
}

// Rule address_in_use: nobody else may listen where somebody does (ip(7), EADDRINUSE).
// Rule any_port: port 0 picks a free one, and getsockname() tells which (ip(7)).
int bind(int fd, const sockaddr* address, socklen_t size) {
  if (!simulated()) return real<decltype(bind)>("bind")(fd, address, size);
  const Outside outside;
  if (const int error = world.meets("bind", fd)) return fail(error);
  Socket* const s = find_socket(fd);
  if (s == nullptr) return -1;
  if (kernel.conditions.bind_error != 0) return fail(kernel.conditions.bind_error);
  const std::uint16_t port = ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  if (port != 0 && listener_at(port) != nullptr) return fail(EADDRINUSE);
  s->port = port != 0 ? port : state.next_port++;
  return 0;
}

int listen(int fd, int backlog) {
  if (!simulated()) return real<decltype(listen)>("listen")(fd, backlog);
  const Outside outside;
  if (const int error = world.meets("listen", fd)) return fail(error);
  Socket* const s = find_socket(fd);
  if (s == nullptr) return -1;
  world.step({"listen", &network});
  s->state = Socket::listening;
  s->backlog = static_cast<std::size_t>(backlog);
  state.has_listened = true;
  const auto open = static_cast<std::size_t>(std::ranges::count_if(state.tables[0], is_open));
  kernel.conditions.descriptors =
      std::min(kernel.conditions.descriptors, open + kernel.conditions.spare);
  return 0;
}

int getsockname(int fd, sockaddr* address, socklen_t* size) {
  if (!simulated()) return real<decltype(getsockname)>("getsockname")(fd, address, size);
  const Outside outside;
  if (const int error = world.meets("getsockname", fd)) return fail(error);
  const Socket* const s = find_socket(fd);
  if (s == nullptr) return -1;
  put_address(s->port, address, size);
  return 0;
}

// Rule bound_to_nowhere: a listener on an interface that does not exist is found by no new client,
// which is refused; what it has goes on (Linux 5.7, sock.c, sock_bindtoindex; inet_hashtables.c,
// compute_score).
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  if (!simulated()) return real<decltype(setsockopt)>("setsockopt")(fd, level, name, value, size);
  const Outside outside;
  if (const int error = world.meets("setsockopt", fd)) return fail(error);
  Socket* const s = find_socket(fd);
  if (s == nullptr) return -1;
  int number = 0;
  std::memcpy(&number, value, std::min<std::size_t>(size, sizeof number));
  if (level == SOL_SOCKET && name == SO_BINDTOIFINDEX) {
    world.step({"refuse", &network});
    s->nowhere = number != 0;
  } else if (level == SOL_SOCKET && name == SO_LINGER) {
    const auto& linger = *static_cast<const struct linger*>(value);
    s->resets_at_close = linger.l_onoff != 0 && linger.l_linger == 0;
  } else if (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT) {
    s->defers = number != 0;
  } else if (level != SOL_SOCKET || name != SO_REUSEADDR) {
    not_simulated("this option of setsockopt()");
  }
  return 0;
}

// Rule so_error: getsockopt(SO_ERROR) tells the error, and then it is told (socket(7)).
int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  if (!simulated()) return real<decltype(getsockopt)>("getsockopt")(fd, level, name, value, size);
  const Outside outside;
  if (const int error = world.meets("getsockopt", fd)) return fail(error);
  Socket* const s = find_socket(fd);
  if (s == nullptr) return -1;
  if (level != SOL_SOCKET || name != SO_ERROR) not_simulated("this option of getsockopt()");
  const int error = std::exchange(s->error, 0);
  std::memcpy(value, &error, sizeof error);
  return 0;
}

// Rule accept_number_first: accept() takes a descriptor before it looks whether anybody is there:
// EMFILE, not EAGAIN (socket.c, __sys_accept4_file).
// Rule accept_order: who completed the handshake first is first (listen(2)).
// Rule accept_flags: a new socket does not inherit O_NONBLOCK (accept(2), Linux).
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  if (!simulated()) return real<decltype(accept4)>("accept4")(fd, address, size, flags);
  const Outside outside;
  if (const int error = world.meets("accept4", fd)) return fail(error);
  const Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  Socket* const listener = d->of_socket;
  if (listener == nullptr) return fail(ENOTSOCK);
  if (!act({"accept", &network}, d->nonblocking,
           [=] { return !listener->queue.empty() || listener->state != Socket::listening; }))
    return fail(EINTR);
  if (kernel.conditions.accept_error != 0 && !kernel.accept_has_failed && world.which(2) == 1) {
    kernel.accept_has_failed = true;
    return fail(kernel.conditions.accept_error);
  }
  const Descriptor taken{.kind = Descriptor::socket,
                         .nonblocking = (flags & SOCK_NONBLOCK) != 0,
                         .closes_on_exec = (flags & SOCK_CLOEXEC) != 0};
  const int number = add(taken);
  if (number == -1) return -1;
  Descriptor& made = *find(number);
  if (listener->state != Socket::listening || listener->queue.empty()) {
    made = {};
    return fail(listener->state != Socket::listening ? EINVAL : EAGAIN);
  }
  made.of_socket = listener->queue.front();
  listener->queue.pop_front();
  kernel.accepted[made.of_socket->client] = true;
  if (address != nullptr) put_address(made.of_socket->peer->port, address, size);
  return number;
}
int accept(int fd, sockaddr* address, socklen_t* size) {
  if (!simulated()) return real<decltype(accept)>("accept")(fd, address, size);
  return accept4(fd, address, size, 0);
}

// Rule refused: where nobody listens, a reset answers the SYN: ECONNREFUSED (RFC 9293 §3.5.2).
// Rule nonblocking_connect: it is under way (EINPROGRESS), and how it went can be asked when the
// socket can be written to (connect(2)).
int connect(int fd, const sockaddr* address, socklen_t length) {
  if (!simulated()) return real<decltype(connect)>("connect")(fd, address, length);
  const Outside outside;
  const Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  const bool nonblocking = d->nonblocking;
  Socket& s = *d->of_socket;
  const std::uint16_t port = ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  s.port = state.next_port++;
  const auto answered = [port] {
    if (kernel.conditions.clients_wait && !state.has_listened) return kernel.process_has_ended;
    const Socket* const listener = listener_at(port);
    return listener == nullptr || listener->nowhere || !is_full(*listener);
  };
  if (!act({"SYN", &network}, nonblocking, answered)) return fail(EINTR);
  Socket* const listener = listener_at(port);
  if (listener == nullptr || listener->nowhere) {
    s.error = nonblocking ? ECONNREFUSED : 0;
    s.reset = nonblocking;
    return fail(nonblocking ? EINPROGRESS : ECONNREFUSED);
  }
  Socket& accepted = sockets.add();
  accepted.state = Socket::handshake;
  accepted.port = port;
  accepted.peer = &s;
  accepted.client = world.current->id;
  s.peer = &accepted;
  s.state = Socket::connected;
  if (is_full(*listener)) {
    s.state = Socket::handshake;
    return fail(EINPROGRESS);
  }
  listener->handshakes.push_back(&accepted);
  if (listener->defers) return 0;
  if (!nonblocking) {
    const Time arrives = world.now + kernel.conditions.handshake;
    world.step({"ACK", &network, &s}, [arrives] { return world.now >= arrives; }, arrives);
  }
  complete(accepted);
  return nonblocking ? fail(EINPROGRESS) : 0;
}

// Rule recv_order: first come the bytes, then the end, as 0; an error comes after the bytes; and
// where there is nothing yet, EAGAIN (tcp.c, tcp_recvmsg_locked).
ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  if (!simulated()) return real<decltype(recv)>("recv")(fd, buffer, size, flags);
  const Outside outside;
  if (const int error = world.meets("recv", fd)) return fail(error);
  const Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  if (d->of_socket == nullptr) return fail(ENOTSOCK);
  Socket& s = *d->of_socket;
  const auto ready = [&s] { return (events_of(s) & POLLIN) != 0; };
  if (!act(step_on("recv", *d), d->nonblocking || (flags & MSG_DONTWAIT) != 0, ready))
    return fail(EINTR);
  if (s.state != Socket::connected) return fail(ENOTCONN);
  const std::size_t count = std::min(size, s.arrived.size());
  if (count > 0) {
    std::memcpy(buffer, s.arrived.data(), count);
    if ((flags & MSG_PEEK) == 0) s.arrived.erase(0, count);
    return static_cast<ssize_t>(count);
  }
  if (s.ended || s.reads_over) return 0;
  if (s.error != 0) return fail(std::exchange(s.error, 0));
  return s.reset ? 0 : fail(EAGAIN);
}

// Rule send_error: an error that has come is told first; then, or after our own FIN, it is EPIPE
// (tcp.c, tcp_sendmsg_locked; stream.c, sk_stream_error).
// Rule send_to_gone: bytes for a socket that has been closed are taken, and answered with a reset
// (RFC 9293 §3.10.7.1).
// Rule full_window: when the peer does not read, there is no room some time: EAGAIN (send(2)).
ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  if (!simulated()) return real<decltype(send)>("send")(fd, bytes, size, flags);
  const Outside outside;
  if (const int error = world.meets("send", fd)) return fail(error);
  const Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  if (d->of_socket == nullptr) return fail(ENOTSOCK);
  Socket& s = *d->of_socket;
  const auto ready = [&s] { return (events_of(s) & POLLOUT) != 0; };
  if (!act(step_on("send", *d), d->nonblocking || (flags & MSG_DONTWAIT) != 0, ready))
    return fail(EINTR);
  const bool quietly = (flags & MSG_NOSIGNAL) != 0;
  if (s.error != 0 && s.error != EPIPE) return fail(std::exchange(s.error, 0));
  if (s.reset || s.end_sent || s.state != Socket::connected) {
    s.error = 0;
    return broken_pipe(quietly);
  }
  Socket& peer = *s.peer;
  if (peer.state == Socket::handshake) complete(peer);
  if (peer.gone) {
    reset(s);
    return static_cast<ssize_t>(size);
  }
  const std::size_t count = std::min(
      size, kernel.conditions.window - std::min(kernel.conditions.window, peer.arrived.size()));
  if (count == 0) return fail(EAGAIN);
  peer.arrived.append(static_cast<const char*>(bytes), count);
  return static_cast<ssize_t>(count);
}

// Rule half_close: shutdown(SHUT_WR) sends a FIN; the other direction goes on (RFC 9293 §3.6).
// Rule shutdown_over: of a connection that was reset, or is none, it is ENOTCONN (af_inet.c).
int shutdown(int fd, int how) {
  if (!simulated()) return real<decltype(shutdown)>("shutdown")(fd, how);
  const Outside outside;
  if (const int error = world.meets("shutdown", fd)) return fail(error);
  const Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  if (d->of_socket == nullptr) return fail(ENOTSOCK);
  Socket& s = *d->of_socket;
  world.step(step_on("shutdown", *d));
  if (s.reset || s.state != Socket::connected) return fail(ENOTCONN);
  if (how != SHUT_WR) s.reads_over = true;
  if (how != SHUT_RD) s.end_sent = s.peer->ended = true;
  return 0;
}

// If it fails, it has closed the descriptor all the same (close(2)).
int close(int fd) {
  if (!simulated()) return real<decltype(close)>("close")(fd);
  const Outside outside;
  const int error = world.meets("close", fd);
  const Descriptor* const d = find(fd);
  if (d == nullptr)  // EBADF, with luck: the number may be another thread's file by then
    world.fail("closed twice", "Descriptor " + std::to_string(fd) + " is not open, and is closed.");
  if (d->of_socket != nullptr || d->of_pipe != nullptr) world.step(step_on("close", *d));
  close_now(*find(fd));
  return error == 0 ? 0 : fail(error);
}

// Rule poll_time: it returns 0 when the time is over; a wait for no descriptor is a sleep
// (poll(2)).
int poll(pollfd* fds, nfds_t count, int timeout) {
  if (!simulated()) return real<decltype(poll)>("poll")(fds, count, timeout);
  const Outside outside;
  if (const int error = world.meets("poll", count > 0 ? fds[0].fd : -1)) return fail(error);
  if (count > 2) not_simulated("poll() of more than two descriptors");
  Step step{"poll", nullptr, nullptr, Step::reads};
  std::array<Descriptor, 2> looked_at;  // now: others may look whether we can go on
  for (nfds_t i = 0; i < count; ++i) {
    const Descriptor* const d = find(fds[i].fd);
    if (d == nullptr) continue;
    looked_at[i] = *d;
    (step.a == nullptr ? step.a : step.b) = step_on("", *d, Step::reads).a;
  }
  const auto events = [&](nfds_t i) {
    const int asked = fds[i].events | POLLERR | POLLHUP | POLLNVAL;
    return fds[i].fd < 0 ? short{0} : static_cast<short>(events_of(looked_at[i]) & asked);
  };
  const auto ready = [&] { return (count > 0 && events(0) != 0) || (count > 1 && events(1) != 0); };
  const Time until = timeout < 0 ? never : world.now + timeout * Time{1'000'000};
  if (timeout == 0) {
    world.step(step);
  } else if (!world.step(step, ready, until, true)) {
    return fail(EINTR);
  }
  int found = 0;
  for (nfds_t i = 0; i < count; ++i) found += (fds[i].revents = events(i)) != 0 ? 1 : 0;
  return found;
}

// Rule pipe_ends: a pipe without writers ends with 0, one without readers is broken: EPIPE
// (pipe(7)).
int pipe2(int* fds, int flags) {
  if (!simulated()) return real<decltype(pipe2)>("pipe2")(fds, flags);
  const Outside outside;
  if (const int error = world.meets("pipe2")) return fail(error);
  Pipe& made = pipes.add();
  for (const bool writes : {false, true}) {
    const int fd = add({.kind = Descriptor::pipe_end,
                        .of_pipe = &made,
                        .writes = writes,
                        .nonblocking = (flags & O_NONBLOCK) != 0});
    if (fd == -1) return -1;
    fds[writes ? 1 : 0] = fd;
  }
  return 0;
}
int pipe(int* fds) { return simulated() ? pipe2(fds, 0) : real<decltype(pipe)>("pipe")(fds); }

// Rule pipe_whole: up to PIPE_BUF bytes are written whole or not at all; if there is no room,
// EAGAIN (pipe(7)).
ssize_t write(int fd, const void* bytes, size_t size) {
  if (!simulated()) return real<decltype(write)>("write")(fd, bytes, size);
  Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  if (d->of_socket != nullptr) return send(fd, bytes, size, 0);
  const Outside outside;
  if (const int error = world.meets("write", fd)) return fail(error);
  if (!d->writes) return fail(EBADF);
  Pipe& pipe = *d->of_pipe;
  if (pipe.is_log) {
    const std::string_view text(static_cast<const char*>(bytes), size);
    kernel.printed += text.substr(0, kernel.conditions.window);
    return static_cast<ssize_t>(std::min(size, kernel.conditions.window));
  }
  const std::size_t least = std::min<std::size_t>(size, PIPE_BUF);
  const auto room = [&pipe] { return pipe_size - pipe.bytes.size(); };
  if (!act({"write", &pipe}, d->nonblocking, [&] { return room() >= least || pipe.readers == 0; }))
    return fail(EINTR);
  if (pipe.readers == 0) return broken_pipe(false);
  if (room() < least) return fail(EAGAIN);
  const std::size_t count = std::min(size, room());
  pipe.bytes.append(static_cast<const char*>(bytes), count);
  return static_cast<ssize_t>(count);
}

ssize_t pread(int fd, void* buffer, size_t size, off_t offset) {
  if (!simulated()) return real<decltype(pread)>("pread")(fd, buffer, size, offset);
  const Outside outside;
  if (const int error = world.meets("pread", fd)) return fail(error);
  const Descriptor* const d = find(fd);
  return d == nullptr ? -1 : read_at(*d, buffer, size, static_cast<std::size_t>(offset));
}
ssize_t pread64(int fd, void* buffer, size_t size, off_t offset) {
  return pread(fd, buffer, size, offset);
}

ssize_t read(int fd, void* buffer, size_t size) {
  if (!simulated()) return real<decltype(read)>("read")(fd, buffer, size);
  Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  if (d->of_socket != nullptr) return recv(fd, buffer, size, 0);
  const Outside outside;
  if (const int error = world.meets("read", fd)) return fail(error);
  if (d->of_pipe == nullptr) {
    const ssize_t count = read_at(*d, buffer, size, d->at);
    d->at += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    return count;
  }
  if (d->writes) return fail(EBADF);
  Pipe& pipe = *d->of_pipe;
  if (!act({"read", &pipe}, d->nonblocking,
           [&pipe] { return !pipe.bytes.empty() || pipe.writers == 0; }))
    return fail(EINTR);
  if (pipe.bytes.empty()) return pipe.writers == 0 ? 0 : fail(EAGAIN);
  const std::size_t count = std::min(size, pipe.bytes.size());
  std::memcpy(buffer, pipe.bytes.data(), count);
  pipe.bytes.erase(0, count);
  return static_cast<ssize_t>(count);
}

// Real files are read once and kept; nothing is written to them.
// Rule reopened: a pipe opened by /proc/self/fd/N is the same pipe, with flags of its own
// (proc(5)).
int open(const char* path, int flags, ...) {
  if (!simulated()) {
    std::va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return real<int(const char*, int, ...)>("open")(path, flags, mode);
  }
  const Outside outside;
  if (const int error = world.meets("open")) return fail(error);
  Descriptor opened{.kind = Descriptor::file, .nonblocking = (flags & O_NONBLOCK) != 0};
  const std::string name = path;
  if (name.starts_with("/proc/self/fd/")) {
    const Descriptor* const again = find(std::atoi(path + 14));
    if (again == nullptr || again->of_pipe == nullptr) return fail(ENOENT);
    opened.kind = Descriptor::pipe_end;
    opened.of_pipe = again->of_pipe;
    opened.writes = (flags & O_ACCMODE) == O_WRONLY;
  } else if (name == "/proc/net/tcp") {
    opened.kind = Descriptor::table;
  } else if (name != "/dev/null") {
    if ((flags & O_ACCMODE) != O_RDONLY) not_simulated("writing to a file");
    static std::map<std::string, std::optional<std::string>> files;
    const auto [it, is_new] = files.try_emplace(name);
    if (is_new) {
      if (std::FILE* const file = std::fopen(path, "r")) {
        it->second.emplace();
        for (int c = 0; (c = std::getc(file)) != EOF;) it->second->push_back(static_cast<char>(c));
        std::fclose(file);
      }
    }
    if (!it->second) return fail(ENOENT);
    opened.text = &*it->second;
  }
  return add(opened);
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open(path, flags, mode);
}

int access(const char* path, int mode) noexcept {
  if (simulated()) {
    if (const int error = world.meets("access")) return fail(error);
  }
  return real<int(const char*, int)>("access")(path, mode);
}

int fstat(int fd, struct stat* about) {
  if (!simulated()) return real<decltype(fstat)>("fstat")(fd, about);
  const Outside outside;
  if (const int error = world.meets("fstat", fd)) return fail(error);
  const Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  *about = {};
  about->st_mode = d->of_socket != nullptr ? S_IFSOCK
                   : d->of_pipe != nullptr ? S_IFIFO
                   : d->text != nullptr    ? S_IFREG
                                           : S_IFCHR;
  return 0;
}
int isatty(int fd) {
  if (!simulated()) return real<decltype(isatty)>("isatty")(fd);
  const Outside outside;
  const int error = world.meets("isatty", fd);
  if (error != 0 || find(fd) != nullptr) errno = error != 0 ? error : ENOTTY;
  return 0;
}

int fcntl(int fd, int command, ...) {
  std::va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  if (!simulated()) return real<int(int, int, ...)>("fcntl")(fd, command, argument);
  const Outside outside;
  if (const int error = world.meets("fcntl", fd)) return fail(error);
  Descriptor* const d = find(fd);
  if (d == nullptr) return -1;
  switch (command) {
    case F_GETFD:
      return d->closes_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD:
      d->closes_on_exec = (argument & FD_CLOEXEC) != 0;
      return 0;
    case F_GETFL:
      return (d->writes ? O_WRONLY : O_RDONLY) | (d->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL:
      d->nonblocking = (argument & O_NONBLOCK) != 0;
      return 0;
    default:
      not_simulated("this command of fcntl()");
  }
}

int setrlimit(__rlimit_resource_t resource, const rlimit* limit) noexcept {
  if (!simulated())
    return real<int(__rlimit_resource_t, const rlimit*)>("setrlimit")(resource, limit);
  const Outside outside;
  if (resource != RLIMIT_NOFILE) not_simulated("this limit of setrlimit()");
  kernel.conditions.descriptors = limit->rlim_cur;
  return 0;
}

// Rule handler: sigaction() tells what was there, and sets what shall be (sigaction(2)).
int sigaction(int signal, const struct sigaction* action, struct sigaction* before) noexcept {
  if (!simulated())
    return real<int(int, const struct sigaction*, struct sigaction*)>("sigaction")(signal, action,
                                                                                   before);
  const Outside outside;
  if (const int error = world.meets("sigaction")) return fail(error);
  if (signal <= 0 || signal >= NSIG || (action != nullptr && signal == SIGKILL))
    return fail(EINVAL);
  struct sigaction& current = state.actions[static_cast<std::size_t>(signal)];
  if (action != nullptr) world.step({"sigaction", &signals});
  const struct sigaction old = current;
  if (action != nullptr) current = *action;
  if (before != nullptr) *before = old;
  return 0;
}
sighandler_t signal(int signal, sighandler_t handler) noexcept {
  if (!simulated()) return real<sighandler_t(int, sighandler_t)>("signal")(signal, handler);
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(signal, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

int pthread_sigmask(int how, const sigset_t* set, sigset_t* before) noexcept {
  if (!simulated())
    return real<int(int, const sigset_t*, sigset_t*)>("pthread_sigmask")(how, set, before);
  const Outside outside;
  if (const int error = world.meets("pthread_sigmask")) return error;
  std::uint64_t& blocked = world.current->blocked;
  if (before != nullptr) ::sigemptyset(before);
  for (int signal = 1; signal < NSIG && before != nullptr; ++signal) {
    if ((blocked & bit(signal)) != 0) ::sigaddset(before, signal);
  }
  if (set == nullptr) return 0;
  const std::uint64_t named = bits(*set);
  blocked = how == SIG_BLOCK ? blocked | named : how == SIG_UNBLOCK ? blocked & ~named : named;
  for (int signal = 1; signal < NSIG; ++signal) {
    if ((state.pending & ~blocked & bit(signal)) == 0) continue;
    state.pending &= ~bit(signal);
    raise_here(signal);
  }
  return 0;
}
int sigprocmask(int how, const sigset_t* set, sigset_t* before) noexcept {
  if (!simulated())
    return real<int(int, const sigset_t*, sigset_t*)>("sigprocmask")(how, set, before);
  return pthread_sigmask(how, set, before);
}

int raise(int signal) noexcept {
  if (!simulated()) return real<int(int)>("raise")(signal);
  const Outside outside;
  raise_here(signal);
  return 0;
}
int kill(pid_t process, int signal) noexcept {
  if (!simulated()) return real<int(pid_t, int)>("kill")(process, signal);
  const Outside outside;
  kernel.send(signal);
  // Before kill() returns, if it is for this thread (kill(2)).
  if (std::exchange(world.current->signal, 0) == signal) run_handler(signal);
  return 0;
}

// Rule alarm: alarm() and setitimer() send SIGALRM when the time has come; 0 calls it off
// (alarm(2)).
unsigned alarm(unsigned seconds) noexcept {
  if (!simulated()) return real<unsigned(unsigned)>("alarm")(seconds);
  const Outside outside;
  set_alarm(seconds * Time{1'000'000'000});
  return 0;
}
int setitimer(__itimer_which_t which, const itimerval* next, itimerval* before) noexcept {
  if (!simulated())
    return real<int(__itimer_which_t, const itimerval*, itimerval*)>("setitimer")(which, next,
                                                                                  before);
  const Outside outside;
  return set_alarm(next->it_value.tv_sec * Time{1'000'000'000} +
                   next->it_value.tv_usec * Time{1000});
}

time_t time(time_t* also) noexcept {
  if (!simulated()) return real<time_t(time_t*)>("time")(also);
  if (also != nullptr) *also = world.now / 1'000'000'000;
  return world.now / 1'000'000'000;
}

void _exit(int status) {
  if (!simulated()) real<void(int)>("_exit")(status);
  const Outside outside;
  kernel.end_process(status);
}
void exit(int status) noexcept {
  if (!simulated()) real<void(int)>("exit")(status);
  const Outside outside;
  // It destroys what the interrupted thread may be using (signal-safety(7)).
  if (kernel.in_handler(*world.current))
    world.fail("exit in a handler", "A signal's handler calls exit(), which is not safe there.");
  for (const Thread& thread : std::span(world.threads).first(world.count)) {
    if (!is_outside(thread) && &thread != world.current && thread.state == Thread::running)
      world.fail("unsafe exit", "exit() destroys what " + thread.name + " may still be using.");
  }
  kernel.end_process(status);
}
}
