// Holds the simulated kernel against the real one: small conversations, each of which both have.
// What the real one says, the simulated one must be able to say. Each rule that kernel.cpp names
// has a conversation, or this fails.

#include "faults.hpp"
#include "kernel.hpp"
#include "search.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace explore;
using namespace std::string_literals;

namespace {

// What is seen: "recv 5, send EPIPE".
std::string seen;

void see(const std::string& what) { seen += (seen.empty() ? "" : ", ") + what; }
// A call, and what it returned: a number, or the error.
long see(const std::string& call, long result) {
  see(call + ' ' + (result == -1 ? ::strerrorname_np(errno) : std::to_string(result)));
  return result;
}
void see_if(const std::string& call, long result) { see(call, result == -1 ? -1 : 0); }

// --- what conversations are made of --------------------------------------------------------------

sockaddr_in address_of(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int bind_to(int fd, std::uint16_t port) {
  const sockaddr_in address = address_of(port);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

std::uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

int make_listener(int backlog = 5) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  bind_to(fd, 0);
  ::listen(fd, backlog);
  return fd;
}

int connect_to(int fd, std::uint16_t port) {
  const sockaddr_in address = address_of(port);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

int make_client(int listener, int flags = 0) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | flags, 0);
  see("connect", connect_to(fd, port_of(listener)));
  return fd;
}

void set(int fd, int level, int option, int value) {
  see("setsockopt", ::setsockopt(fd, level, option, &value, sizeof value));
}
void no_linger(int fd) {
  const linger none{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

short events(int fd, short asked, int time = 0) {
  pollfd one{fd, asked, 0};
  ::poll(&one, 1, time);
  return one.revents;
}
void see_events(int fd, short asked, int time = 0) {
  std::string text = "poll";
  const short got = events(fd, asked, time);
  for (const auto& [bit, name] : {std::pair{POLLIN, "IN"},
                                  {POLLOUT, "OUT"},
                                  {POLLERR, "ERR"},
                                  {POLLHUP, "HUP"},
                                  {POLLNVAL, "NVAL"}}) {
    if ((got & bit) != 0) text += std::string(" ") + name;
  }
  see(got == 0 ? "poll nothing" : text);
}

// With a moment for what is on its way.
long receive(int fd) {
  std::array<char, 100> buffer;
  events(fd, POLLIN, 100);
  return see("recv", ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT));
}
long say(int fd, const char* text = "hello") {
  return see("send", ::send(fd, text, std::strlen(text), MSG_NOSIGNAL));
}
int take(int listener, int flags = SOCK_NONBLOCK) {
  events(listener, POLLIN, 100);
  const int fd = ::accept4(listener, nullptr, nullptr, flags);
  see_if("accept", fd);
  return fd;
}

struct Pair {
  int listener = make_listener();
  int client = make_client(listener);
  int server = take(listener);
};

volatile std::sig_atomic_t handled = 0;
volatile std::sig_atomic_t at_once = 0;
std::thread::id main_thread;
void count_signal(int) { handled = handled + 1; }
void handle(int signal, void (*handler)(int) = count_signal, int flags = 0) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}
void see_handled() { see("handled " + std::to_string(handled)); }
void block(int signal, int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::pthread_sigmask(how, &set, nullptr);
}
void alarm_in_5_ms() {
  const itimerval soon{{0, 0}, {0, 5000}};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
}

std::string table() {
  const int fd = ::open("/proc/net/tcp", O_RDONLY);
  std::string text;
  std::array<char, 8100> part;
  ssize_t got = 0;
  while ((got = ::pread(fd, part.data(), part.size(), static_cast<off_t>(text.size()))) > 0) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}
int rows_of(std::uint16_t port, std::string_view state) {
  std::array<char, 20> start{};
  std::snprintf(start.data(), start.size(), ": 0100007F:%04X ", port);
  const std::string text = table();
  int rows = 0;
  for (std::size_t at = 0; (at = text.find(start.data(), at)) != text.npos; ++at) {
    rows += text.substr(at + 30, 2) == state ? 1 : 0;
  }
  return rows;
}
// Has a row of this port that state? The rows of others come and go, so one of ours may be missed
// while we read, or met twice.
void see_row(std::uint16_t port, const char* state) {
  bool there = false;
  for (int look = 0; look < 3; ++look) there = there || rows_of(port, state) > 0;
  see(std::string(state) + (there ? " there" : " not there"));
}

void fill(int pipe) {
  const std::string page(PIPE_BUF, 'x');
  while (::write(pipe, page.data(), page.size()) > 0) {
  }
}

// --- the conversations ---------------------------------------------------------------------------

struct Conversation {
  const char* rules;
  void (*talk)();
};

const Conversation conversations[] = {
    {"closed_descriptor",
     [] {
       const int fd = make_listener();
       ::close(fd);
       see("accept", ::accept(fd, nullptr, nullptr));
       say(fd);
       receive(fd);
       see("fcntl", ::fcntl(fd, F_GETFD));
     }},
    {"lowest_number",
     [] {
       std::array<int, 3> fds{};
       for (int& fd : fds) fd = make_listener();
       see("next", fds[1] - fds[0]);
       ::close(fds[0]);
       ::close(fds[1]);
       see("again", make_listener() - fds[0]);
     }},
    {"descriptor_limit accept_number_first",
     [] {
       const int listener = make_listener();
       const int last = ::open("/dev/null", O_RDONLY);
       const rlimit limit{static_cast<rlim_t>(last) + 1, static_cast<rlim_t>(last) + 1};
       ::setrlimit(RLIMIT_NOFILE, &limit);
       see("open", ::open("/dev/null", O_RDONLY));
       see("socket", ::socket(AF_INET, SOCK_STREAM, 0));
       std::array<int, 2> ends{};
       see("pipe", ::pipe(ends.data()));
       see("accept", ::accept(listener, nullptr, nullptr));
       ::close(last);
       see("accept", ::accept(listener, nullptr, nullptr));
     }},
    {"address_in_use any_port",
     [] {
       const int first = make_listener();
       see(port_of(first) != 0 ? "a port" : "no port");
       const int second = ::socket(AF_INET, SOCK_STREAM, 0);
       set(second, SOL_SOCKET, SO_REUSEADDR, 1);
       see("bind", bind_to(second, port_of(first)));
       ::close(first);
     }},
    {"refused",
     [] {
       const int listener = make_listener();
       const std::uint16_t port = port_of(listener);
       ::close(listener);
       see("connect", connect_to(::socket(AF_INET, SOCK_STREAM, 0), port));
     }},
    {"nonblocking_connect so_error refused",
     [] {
       const int listener = make_listener();
       const int client = make_client(listener, SOCK_NONBLOCK);
       see_events(client, POLLOUT, 100);
       const std::uint16_t port = port_of(listener);
       ::close(listener);
       const int late = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
       see("connect", connect_to(late, port));
       see_events(late, POLLOUT, 100);
       for (int time = 0; time < 2; ++time) {
         int error = 0;
         socklen_t size = sizeof error;
         ::getsockopt(late, SOL_SOCKET, SO_ERROR, &error, &size);
         see(::strerrorname_np(error));
       }
     }},
    {"backlog",
     [] {
       const int listener = make_listener(0);
       make_client(listener);
       const int second = make_client(listener, SOCK_NONBLOCK);
       see_events(second, POLLOUT, 20);
       take(listener);
       see("accept", ::accept(listener, nullptr, nullptr));
     }},
    {"handshake_completes accept_order poll_listener",
     [] {
       const int listener = make_listener();
       see("accept", ::accept(listener, nullptr, nullptr));
       see_events(listener, POLLIN);
       const int first = make_client(listener);
       const int second = make_client(listener);
       say(first, "1");
       say(second, "two");
       see_events(listener, POLLIN, 100);
       receive(take(listener));
       receive(take(listener));
       see_events(listener, POLLIN);
     }},
    {"accept_flags",
     [] {
       const int listener = make_listener();
       make_client(listener);
       make_client(listener);
       see("plain", ::fcntl(take(listener, 0), F_GETFL) & O_NONBLOCK);
       const int second = take(listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
       see((::fcntl(second, F_GETFL) & O_NONBLOCK) != 0 ? "does not wait" : "waits");
       see("closes", ::fcntl(second, F_GETFD));
     }},
    {"handshake_completes table",
     [] {
       const int listener = make_listener();
       set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
       const int client = make_client(listener);
       see_row(port_of(listener), "0A");
       see_row(port_of(listener), "03");
       see("accept", ::accept(listener, nullptr, nullptr));
       say(client);
       receive(take(listener));
       see_row(port_of(listener), "03");
       see_row(port_of(listener), "01");
     }},
    {"bound_to_nowhere handshake_completes",
     [] {
       const int listener = make_listener();
       make_client(listener);
       set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
       const int under_way = make_client(listener);
       set(listener, SOL_SOCKET, SO_BINDTOIFINDEX, INT_MAX);
       make_client(listener);
       take(listener);
       see_row(port_of(listener), "03");
       say(under_way);
       receive(take(listener));
     }},
    {"handshake_reset close_listener",
     [] {
       const int listener = make_listener();
       set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
       const int client = make_client(listener);
       ::close(listener);
       say(client);
       receive(client);
       receive(client);
     }},
    {"close_listener",
     [] {
       const int listener = make_listener();
       const int client = make_client(listener);
       say(client);
       ::close(listener);
       receive(client);
       say(client);
     }},
    {"close_listener",
     [] {
       const Pair pair;
       ::close(pair.listener);
       say(pair.client);
       receive(pair.server);
     }},
    {"table",
     [] {
       const int listener = make_listener();
       see_row(port_of(listener), "0A");
       const std::string text = table();
       bool even = text.size() % 150 == 0;
       for (std::size_t at = 149; at < text.size(); at += 150) even = even && text[at] == '\n';
       see(even ? "rows of 150" : "other rows");
       see(text.substr(2, 20));
     }},
    {"recv_order",
     [] {
       const Pair pair;
       std::array<char, 3> part;
       see("recv", ::recv(pair.server, part.data(), part.size(), 0));
       say(pair.client);
       ::shutdown(pair.client, SHUT_WR);
       events(pair.server, POLLIN, 100);
       see("recv", ::recv(pair.server, part.data(), part.size(), 0));
       for (int time = 0; time < 3; ++time) receive(pair.server);
     }},
    {"half_close close_ends",
     [] {
       const Pair pair;
       see("shutdown", ::shutdown(pair.client, SHUT_WR));
       receive(pair.server);
       say(pair.server);
       ::close(pair.server);
       receive(pair.client);
       receive(pair.client);
     }},
    {"half_close send_error",
     [] {
       const Pair pair;
       ::shutdown(pair.client, SHUT_WR);
       say(pair.client);
       see("shutdown", ::shutdown(pair.client, SHUT_WR));
     }},
    {"half_close recv_order",
     [] {
       const Pair pair;
       see("shutdown", ::shutdown(pair.client, SHUT_RD));
       receive(pair.client);
       say(pair.client);
       receive(pair.server);
     }},
    {"shutdown_over",
     [] {
       see("shutdown", ::shutdown(::socket(AF_INET, SOCK_STREAM, 0), SHUT_WR));
       const Pair pair;
       no_linger(pair.client);
       ::close(pair.client);
       see_events(pair.server, POLLIN, 100);
       see("shutdown", ::shutdown(pair.server, SHUT_WR));
     }},
    {"close_ends poll_input",
     [] {
       const Pair pair;
       see_events(pair.server, POLLIN);
       say(pair.client);
       see_events(pair.server, POLLIN, 100);
       ::close(pair.client);
       receive(pair.server);
       see_events(pair.server, POLLIN, 100);
       receive(pair.server);
     }},
    {"close_unread reset_error",
     [] {
       const Pair pair;
       say(pair.client);
       events(pair.server, POLLIN, 100);
       ::close(pair.server);
       receive(pair.client);
       receive(pair.client);
     }},
    {"close_unread reset_destroys",
     [] {
       const Pair pair;
       say(pair.server, "answer");
       say(pair.client);
       events(pair.server, POLLIN, 100);
       ::close(pair.server);
       events(pair.client, POLLHUP, 100);
       receive(pair.client);
       receive(pair.client);
     }},
    {"linger_zero reset_error",
     [] {
       const Pair pair;
       no_linger(pair.client);
       ::close(pair.client);
       receive(pair.server);
       receive(pair.server);
       say(pair.server);
     }},
    {"linger_zero send_error",
     [] {
       const Pair pair;
       no_linger(pair.client);
       ::close(pair.client);
       events(pair.server, POLLIN, 100);
       say(pair.server);
       say(pair.server);
     }},
    {"reset_error send_error",
     [] {
       const Pair pair;
       ::shutdown(pair.client, SHUT_WR);
       receive(pair.server);
       no_linger(pair.client);
       ::close(pair.client);
       events(pair.server, POLLHUP, 100);
       say(pair.server);
       receive(pair.server);
     }},
    {"send_to_gone",
     [] {
       const Pair pair;
       ::close(pair.client);
       receive(pair.server);
       say(pair.server);
       events(pair.server, POLLERR, 100);
       say(pair.server);
       receive(pair.server);
     }},
    {"send_to_gone reset_destroys",
     [] {
       const Pair pair;
       say(pair.server, "answer");
       ::close(pair.server);
       say(pair.client);
       events(pair.client, POLLHUP, 100);
       receive(pair.client);
       receive(pair.client);
     }},
    {"full_window poll_output",
     [] {
       const Pair pair;
       see_events(pair.server, POLLOUT);
       const std::string much(100'000, 'x');
       while (::send(pair.server, much.data(), much.size(), MSG_DONTWAIT) > 0) {
       }
       see("send", -1);
       see_events(pair.server, POLLOUT);
       std::string part(1 << 20, '\0');
       while (events(pair.client, POLLIN, 20) != 0) {
         if (::recv(pair.client, part.data(), part.size(), 0) <= 0) break;
       }
       see_events(pair.server, POLLOUT, 100);
     }},
    {"poll_hangup poll_output",
     [] {
       const Pair pair;
       ::shutdown(pair.client, SHUT_WR);
       see_events(pair.server, POLLIN | POLLOUT, 100);
       ::shutdown(pair.server, SHUT_WR);
       events(pair.server, POLLHUP, 100);
       see_events(pair.server, POLLIN | POLLOUT, 100);
     }},
    {"poll_hangup",
     [] {
       const Pair pair;
       no_linger(pair.client);
       ::close(pair.client);
       events(pair.server, 0, 100);
       see_events(pair.server, POLLIN | POLLOUT);
       receive(pair.server);
       see_events(pair.server, POLLIN);
       see_events(::socket(AF_INET, SOCK_STREAM, 0), POLLOUT);
     }},
    {"poll_closed poll_file poll_time",
     [] {
       const int fd = ::open("/dev/null", O_RDONLY);
       see_events(fd, POLLIN);
       ::close(fd);
       see_events(fd, POLLIN);
       see_events(-1, POLLIN, 1);
       see("poll", ::poll(nullptr, 0, 1));
     }},
    {"pipe_ends poll_pipe",
     [] {
       std::array<int, 2> ends{};
       see("pipe", ::pipe2(ends.data(), O_NONBLOCK));
       std::array<char, 4> part;
       see("read", ::read(ends[0], part.data(), part.size()));
       see_events(ends[0], POLLIN);
       see_events(ends[1], POLLOUT);
       see("write", ::write(ends[1], "hello", 5));
       see_events(ends[0], POLLIN);
       ::close(ends[1]);
       see("read", ::read(ends[0], part.data(), part.size()));
       see_events(ends[0], POLLIN);
       see("read", ::read(ends[0], part.data(), part.size()));
       see_events(ends[0], POLLIN);
       see("read", ::read(ends[0], part.data(), part.size()));
     }},
    {"pipe_ends poll_pipe sigpipe",
     [] {
       handle(SIGPIPE);
       std::array<int, 2> ends{};
       ::pipe(ends.data());
       ::close(ends[0]);
       see_events(ends[1], 0);
       see("write", ::write(ends[1], "x", 1));
       see_handled();
     }},
    {"pipe_whole poll_pipe",
     [] {
       std::array<int, 2> ends{};
       ::pipe2(ends.data(), O_NONBLOCK);
       fill(ends[1]);
       see("write", ::write(ends[1], "x", 1));
       see_events(ends[1], POLLOUT);
       std::string page(PIPE_BUF, '\0');
       see("read", ::read(ends[0], page.data(), page.size()));
       see_events(ends[1], POLLOUT);
       see("write", ::write(ends[1], page.data(), page.size()));
       see("write", ::write(ends[1], "x", 1));
     }},
    {"reopened",
     [] {
       std::array<int, 2> ends{};
       ::pipe(ends.data());
       const std::string path = "/proc/self/fd/" + std::to_string(ends[1]);
       const int again = ::open(path.c_str(), O_WRONLY | O_NONBLOCK);
       see((::fcntl(ends[1], F_GETFL) & O_NONBLOCK) != 0 ? "both" : "one");
       fill(again);
       see("write", ::write(again, "x", 1));
       ::close(ends[1]);
       see_events(ends[0], POLLIN);
     }},
    {"sigpipe send_error",
     [] {
       handle(SIGPIPE);
       const Pair pair;
       ::shutdown(pair.client, SHUT_WR);
       see("send", ::send(pair.client, "x", 1, MSG_NOSIGNAL));
       see_handled();
       see("send", ::send(pair.client, "x", 1, 0));
       see_handled();
     }},
    {"sigpipe default_action",
     [] {
       const Pair pair;
       ::shutdown(pair.client, SHUT_WR);
       see("send", ::send(pair.client, "x", 1, 0));
     }},
    {"sigpipe",
     [] {
       ::signal(SIGPIPE, SIG_IGN);
       const Pair pair;
       ::shutdown(pair.client, SHUT_WR);
       see("send", ::send(pair.client, "x", 1, 0));
     }},
    {"default_action",
     [] {
       ::signal(SIGTERM, SIG_IGN);
       see("raise", ::raise(SIGTERM));
       ::signal(SIGTERM, SIG_DFL);
       see("raise", ::raise(SIGTERM));
     }},
    {"handler",
     [] {
       see(::signal(SIGINT, count_signal) == SIG_DFL ? "default" : "other");
       struct sigaction before{};
       see("sigaction", ::sigaction(SIGINT, nullptr, &before));
       see(before.sa_handler == count_signal ? "ours" : "other");
       ::raise(SIGINT);
       see_handled();
       see("sigaction", ::sigaction(SIGKILL, &before, nullptr));
     }},
    {"deferred",
     [] {
       handle(SIGINT);
       block(SIGINT, SIG_BLOCK);
       ::raise(SIGINT);
       ::raise(SIGINT);
       see_handled();
       block(SIGINT, SIG_UNBLOCK);
       see_handled();
     }},
    {"deferred",
     [] {
       handle(SIGINT, [](int signal) {
         handled = handled + 1;
         if (handled > 1) return;
         ::raise(signal);
         at_once = handled;
       });
       ::raise(SIGINT);
       see("inside " + std::to_string(at_once));
       see_handled();
     }},
    {"any_thread",
     [] {
       main_thread = std::this_thread::get_id();
       handle(SIGINT, [](int) { handled = std::this_thread::get_id() == main_thread ? 1 : 2; });
       std::thread([] { ::kill(::getpid(), SIGINT); }).join();
       see_handled();
     }},
    {"interrupted alarm",
     [] {
       handle(SIGALRM, count_signal, SA_RESTART);
       alarm_in_5_ms();
       see("poll", ::poll(nullptr, 0, 200));
       see_handled();
     }},
    {"interrupted alarm",
     [] {
       handle(SIGALRM);
       const Pair pair;
       ::fcntl(pair.server, F_SETFL, 0);
       alarm_in_5_ms();
       char byte = 0;
       see("recv", ::recv(pair.server, &byte, 1, 0));
       see_handled();
     }},
    {"interrupted alarm",
     [] {
       handle(SIGALRM);
       alarm_in_5_ms();
       const timespec time{0, 200'000'000};
       see("nanosleep", ::nanosleep(&time, nullptr));
     }},
    {"interrupted",
     [] {
       static int other_end;
       handle(SIGALRM, [](int) { ::send(other_end, "hello", 5, 0); }, SA_RESTART);
       const Pair pair;
       ::fcntl(pair.server, F_SETFL, 0);
       other_end = pair.client;
       alarm_in_5_ms();
       std::array<char, 10> part;
       see("recv", ::recv(pair.server, part.data(), part.size(), 0));
     }},
    {"deferred",
     [] {
       struct sigaction action{};
       action.sa_handler = [](int signal) {
         if (signal == SIGINT) ::raise(SIGTERM);
         see(signal == SIGINT ? "INT ends" : "TERM ends");
       };
       sigemptyset(&action.sa_mask);
       sigaddset(&action.sa_mask, SIGTERM);
       ::sigaction(SIGINT, &action, nullptr);
       ::sigaction(SIGTERM, &action, nullptr);
       ::raise(SIGINT);
     }},
    {"alarm",
     [] {
       handle(SIGALRM);
       alarm_in_5_ms();
       ::alarm(0);
       see("poll", ::poll(nullptr, 0, 20));
       see_handled();
     }},
};

// --- both kernels --------------------------------------------------------------------------------

// In a process of its own, which a signal may end.
class RealRun {
 public:
  explicit RealRun(const Conversation& conversation) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) == -1) throw std::runtime_error("cannot create a pipe");
    child_ = ::fork();
    if (child_ == 0) {
      conversation.talk();
      // What cannot be told is missed.
      [[maybe_unused]] const ssize_t told = ::write(ends[1], seen.data(), seen.size());
      ::_exit(0);
    }
    ::close(ends[1]);
    told_ = ends[0];
  }

  std::string result() {
    std::string text;
    std::array<char, 4096> part;
    for (ssize_t got = 0; (got = ::read(told_, part.data(), part.size())) > 0;) {
      text.append(part.data(), static_cast<std::size_t>(got));
    }
    ::close(told_);
    int status = 0;
    ::waitpid(child_, &status, 0);
    return WIFSIGNALED(status) ? "ended by SIG"s + ::sigabbrev_np(WTERMSIG(status)) : text;
  }

 private:
  pid_t child_ = -1;
  int told_ = -1;
};

using Results = std::set<std::string>;

// All at once, since most of the time they wait.
std::vector<Results> on_the_real_one(int times) {
  std::vector<Results> all(std::size(conversations));
  for (int time = 0; time < times; ++time) {
    std::vector<RealRun> runs;
    for (const Conversation& conversation : conversations) runs.emplace_back(conversation);
    for (std::size_t i = 0; i < runs.size(); ++i) all[i].insert(runs[i].result());
  }
  return all;
}

Results on_the_simulated_one(const Conversation& conversation) {
  std::set<std::string> all;
  Search search = Search::few_switches(1);
  do {
    static std::string said;  // `seen` is the program's, and so gone with the run
    said.clear();
    handled = 0;
    at_once = 0;
    kernel.conditions = {.gentle = true, .clients_wait = false};
    kernel.on = true;
    kernel.reset();
    begin_watch();
    world.any_time = false;
    world.run(search, [&] {
      world.closing = true;
      new (&seen) std::string;
      conversation.talk();
      const Outside outside;
      said = std::string(seen.begin(), seen.end());
      kernel.end_process(0);
    });
    kernel.on = false;
    if (world.failure) said = world.failure.kind + ": " + world.failure.sentence;
    if (kernel.ended_by != 0) said = "ended by SIG"s + ::sigabbrev_np(kernel.ended_by);
    all.insert(said);
  } while (search.advance());
  new (&seen) std::string;
  return all;
}

// The names of the rules, from the comments of kernel.cpp.
std::set<std::string> rules_of(const char* path) {
  std::set<std::string> rules;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find("// Rule ");
    if (at == std::string::npos) continue;
    const std::size_t name = at + std::strlen("// Rule ");
    rules.insert(line.substr(name, line.find(':', name) - name));
  }
  return rules;
}

}  // namespace

int main(int argc, char** argv) {
  __libc_single_threaded = 0;
  watch_for_faults();
  world.find_races = false;
  std::set<std::string> untold = rules_of(argc > 1 ? argv[1] : SOURCE "/tests/explore/kernel.cpp");
  int failed = untold.empty() ? 1 : 0;
  const std::vector<Results> real = on_the_real_one(12);
  std::size_t number = 0;
  for (const Conversation& conversation : conversations) {
    const std::string rules = conversation.rules;
    for (std::size_t at = 0; at < rules.size();
         at = std::min(rules.find(' ', at), rules.size()) + 1)
      untold.erase(rules.substr(at, rules.find(' ', at) - at));
    const Results simulated = on_the_simulated_one(conversation);
    const Results& seen_there = real[number++];
    if (std::ranges::includes(simulated, seen_there)) continue;
    ++failed;
    std::printf("%s:\n", conversation.rules);
    for (const std::string& one : seen_there)
      std::printf("  the real kernel:      %s\n", one.c_str());
    for (const std::string& one : simulated)
      std::printf("  the simulated kernel: %s\n", one.c_str());
  }
  for (const std::string& rule : untold)
    std::printf("No conversation is about the rule %s.\n", rule.c_str());
  failed += static_cast<int>(untold.size());
  if (failed == 0)
    std::printf("%zu conversations, the same with both kernels.\n", std::size(conversations));
  return failed == 0 ? 0 : 1;
}
