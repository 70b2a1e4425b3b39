// Each stage as its users meet it: its command line, its first words, and what it promises.

#include "promises.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/parallel.hpp"
#include "tests/harness/sanitizers.hpp"
#include "tests/harness/server.hpp"
#include "tests/harness/skip.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <termios.h>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

std::string binary(int stage) { return stage_subject(stage).command.front(); }

Exit run(Process& process) { return process.exit_within(10s); }

// Stages 1 to 3 panic: the reason, and SIGABRT. Stage 4 says the reason, and exits with 1.
void check_fails(int stage, Process& process, const std::string& reason) {
  const Exit exit = run(process);
  const std::string said = process.err();
  CAPTURE(exit.text());
  CAPTURE(said);
  CHECK(said.find(reason) != std::string::npos);
  if (stage == 4) {
    CHECK(exit.with(1));
    CHECK(said.ends_with("stage4: " + reason + '\n'));
  } else {
    CHECK(exit.by_signal(SIGABRT));
    CHECK(said.starts_with(said.find("libc++abi") == 0 ? "libc++abi: terminating"
                                                       : "terminate called"));
  }
}

std::string date(const Answer& answer) {
  constexpr std::string_view field = "\r\nDate: ";
  const std::size_t at = answer.bytes.find(field);
  return at == std::string::npos ? "" : answer.bytes.substr(at + field.size(), 29);
}

// A trickle does not renew the 5 s a client has for its head. From stage 2 on a silent one beside
// it is closed at the same time.
void check_deadline(int stage) {
  const Server server(stage_subject(stage));
  const std::string first_date = date(ask(server.port(), "/"));
  const auto start = Clock::now();
  Client trickling(server.port(), "GET / HTTP/1.1\r\nX: ");
  std::optional<Client> silent;
  if (stage > 1) silent.emplace(server.port());
  Answer trickled;
  while (trickled.end == Answer::End::timed_out && Clock::now() < start + 9s) {
    trickling.send("x");
    trickled = trickling.read(700ms);  // not a divisor of 5 s: no byte meets the close
  }
  for (const Answer& answer : {trickled, silent ? silent->read(3s) : trickled}) {
    CHECK(answer.text() == "closed without an answer");
    CHECK(answer.at - start > 4900ms);
    CHECK(answer.at - start < 8s);
  }
  CHECK(first_date.ends_with(" GMT"));
  CHECK(date(ask(server.port(), "/")) != first_date);  // a thread keeps it, but not for long
}

// 0 if somebody listens there.
int connect_error(const char* address, std::uint16_t port) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  REQUIRE(::inet_pton(AF_INET, address, &to.sin_addr) == 1);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0
                                                                                         : errno;
}

// Promise 15 has a test of its own: it cannot be judged everywhere.
constexpr int process_one = 15;

// ThreadSanitizer keeps a signal to itself that meets a thread which is just starting, until that
// thread makes its next call. A server that is idle from then on never hears of it.
bool is_judged(const Promise& promise) {
#ifdef UNDER_TSAN
  if (promise.number == 11) return false;
#endif
  return promise.number != process_one;
}

void check_promise(int stage, const Promise& promise, const Judgement& judgement) {
  CAPTURE(stage);
  CAPTURE(promise.number);
  CAPTURE(judgement.evidence);
  CHECK(word(judgement.verdict) == word(promise.expected[static_cast<std::size_t>(stage) - 1]));
}

void check_promises(int stage) {
  std::vector<Judgement> judgements(promises().size());
  // All at once: they wait, most of the time.
  in_parallel(judgements.size(), judgements.size(), [&](std::size_t i) {
    if (is_judged(promises()[i])) judgements[i] = judge(promises()[i], stage_subject(stage));
  });
  for (std::size_t i = 0; i < judgements.size(); ++i) {
    if (is_judged(promises()[i])) check_promise(stage, promises()[i], judgements[i]);
  }
}

void check_usage(int stage) {
  const std::string name = "stage" + std::to_string(stage);
  Process help({binary(stage), "--help"});
  CHECK(run(help).with(0));
  CHECK(help.out().starts_with("Usage: " + name + " [options]\n"));
  CHECK(help.err().empty());

  std::vector<std::vector<std::string>> mistakes{
      {"--port", "99999"}, {"--port", "x"}, {"--port"}, {"--what"}, {"7878"}};
  if (stage < 3) mistakes.push_back({"--workers", "4"});
  if (stage < 4) mistakes.push_back({"--take", "2"});
  if (stage >= 3) mistakes.push_back({"--workers", "0"});
  if (stage == 4) mistakes.push_back({"--take", "-1"});
  for (std::vector<std::string> command : mistakes) {
    command.insert(command.begin(), binary(stage));
    Process process(command);
    CAPTURE(process.err());
    CHECK(run(process).with(2));
    CHECK(process.out().empty());
    CHECK(process.err().starts_with(name + ": "));
    CHECK(process.err().find("\nUsage: " + name) != std::string::npos);
  }
}

void check_start(int stage) {
  Server server(stage_subject(stage));
  const std::string port = std::to_string(server.port());
  REQUIRE(server.wait_for_out("\n"));
  CHECK(server.out() == "Listening on http://127.0.0.1:" + port + "\n");

  CHECK(ask(server.port(), "/").end == Answer::End::closed);  // who asks for it, gets it

  // To the whole world it would listen on every address of this machine, of which this is one.
  CHECK(connect_error("127.0.0.2", server.port()) == ECONNREFUSED);

  Process second({binary(stage), "--port", port});
  check_fails(stage, second, "cannot listen on 127.0.0.1:" + port + ": Address already in use");
  Process pageless({binary(stage), "--port", "0", "--html", "/nowhere"});
  check_fails(stage, pageless, "cannot read /nowhere/hello.html: No such file or directory");
}

// It sleeps; it does not look again and again.
void check_idle(const Server& server) {
  const double before = processor_seconds(server.pid());
  pause_for(300ms);
  CHECK(processor_seconds(server.pid()) - before < 0.05);
}

void check_stdout(int stage) {
  const FileDescriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  Process to_full({binary(stage), "--port", "0"}, {.out = full.get()});
  check_fails(stage, to_full, "cannot write to stdout: No space left on device");
  Process to_nothing({binary(stage), "--port", "0"}, {.out_closed = true});
  check_fails(stage, to_nothing, "cannot write to stdout: Bad file descriptor");
}

// Also what it waits for: the next client, a silent one, and work.
void check_waiting(int stage) {
  Server server(stage_subject(stage));
  const Client silent(server.port());
  REQUIRE(eventually([&] { return peers(server.port())[silent.port()].accepted; }));
  check_idle(server);
  // Whether it waits is up to poll() alone; and a program it might turn into inherits nothing.
  const std::vector<int> all_flags = descriptor_flags(server.pid());
  CHECK(all_flags.size() >= 2);
  for (const int flags : all_flags) {
    CHECK((flags & O_NONBLOCK) != 0);
    CHECK((flags & O_CLOEXEC) != 0);
  }
}

// The client resets while its answer is being made.
void check_panic(int stage) {
  Server server(stage_subject(stage));
  Client(server.port(), request("/sleep"));
  const Exit exit = run(server);
  CHECK(exit.by_signal(SIGABRT));
  CHECK(server.err().find("cannot send: Connection reset by peer") != std::string::npos);
}

void check_stage(int stage) {
  SUBCASE("keeps and breaks its promises") { check_promises(stage); }
  SUBCASE("refuses a wrong command line") { check_usage(stage); }
  SUBCASE("says where it listens, or why not") { check_start(stage); }
  SUBCASE("says so when stdout is full or closed") { check_stdout(stage); }
  SUBCASE("sleeps while it waits") { check_waiting(stage); }
}

// Ends the server's listening from outside, so that its accept() fails. False if that cannot be had
// here: it takes the right to trace a process.
bool break_listener(const Server& server) {
  const FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, server.pid(), 0)));
  for (int fd = 3; fd < 10; ++fd) {
    const FileDescriptor copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
    if (copy.get() == -1 && (errno == EPERM || errno == ENOSYS)) return false;
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 1)
      return ::shutdown(copy.get(), SHUT_RD) == 0;
  }
  FAIL("no listener found");
  return false;
}

// How many clients a test can have, up to `wanted`. Usually a process may open 1,024 files, and
// more if it asks.
std::size_t allow_clients(std::size_t wanted) {
  constexpr rlim_t others = 100;
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, wanted + others));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  return std::min(wanted, limit.rlim_cur - others);
}

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// A pipe that nobody reads, with room for that many bytes.
Pipe make_stuck_pipe(std::size_t room) {
  constexpr std::size_t size = 4096;
  Pipe pipe = make_pipe();
  REQUIRE(::fcntl(pipe.write_end.get(), F_SETPIPE_SZ, size) == size);
  const std::string filling(size - room, '-');
  REQUIRE(::write(pipe.write_end.get(), filling.data(), filling.size()) ==
          static_cast<ssize_t>(filling.size()));
  return pipe;
}

// The same pipe or terminal once more, non-blocking: that belongs to the open file, and a dup()
// would have it in common with the server.
FileDescriptor reopen(const FileDescriptor& file) {
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  FileDescriptor copy(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  REQUIRE(copy.get() != -1);
  return copy;
}

// Writes until there is no room left, nor any for a moment: a terminal passes on what it has, step
// by step. Takes what reopen() has returned.
void fill(const FileDescriptor& file) {
  const std::string filling(64, '-');
  pollfd room{.fd = file.get(), .events = POLLOUT, .revents = 0};
  while (::poll(&room, 1, 50) == 1) {
    while (::write(file.get(), filling.data(), filling.size()) > 0) {
    }
    REQUIRE(errno == EAGAIN);
  }
}

// What is there to read, up to 8 KiB; waits for the first byte.
std::string read_some(const FileDescriptor& file) {
  REQUIRE(wait_readable(file.get(), Clock::now() + 10s));
  std::string text(8192, '\0');
  const ssize_t count = ::read(file.get(), text.data(), text.size());
  REQUIRE(count > 0);
  text.resize(static_cast<std::size_t>(count));
  return text;
}

struct Terminal {
  FileDescriptor master;  // what a terminal's window has
  FileDescriptor slave;
  FileDescriptor filling;
};

Terminal open_terminal() {
  Terminal terminal;
  terminal.master = FileDescriptor(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  std::array<char, 64> name{};
  REQUIRE(terminal.master.get() != -1);
  REQUIRE(::grantpt(terminal.master.get()) == 0);
  REQUIRE(::unlockpt(terminal.master.get()) == 0);
  REQUIRE(::ptsname_r(terminal.master.get(), name.data(), name.size()) == 0);
  terminal.slave = FileDescriptor(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(terminal.slave.get() != -1);
  terminal.filling = reopen(terminal.slave);
  return terminal;
}

}  // namespace

TEST_SUITE("stage1") {
  TEST_CASE("stage 1") { check_stage(1); }
  TEST_CASE("a client that resets ends the process") { check_panic(1); }
}

TEST_SUITE("stage2") {
  TEST_CASE("stage 2") { check_stage(2); }
  TEST_CASE("a client that resets ends the process") { check_panic(2); }
}

TEST_SUITE("stage3") {
  TEST_CASE("stage 3") { check_stage(3); }
  TEST_CASE("a client that resets ends the process") { check_panic(3); }

  TEST_CASE("the log is the chapter's") {
    Subject subject = stage_subject(3);
    subject.workers = 1;
    Server server(subject, {.sleep = 1ms});
    CHECK(ask(server.port(), "/sleep").text() == "200, whole");
    CHECK(server.wait_for_out("\nWorker 0 got a job; executing.\n"));
#ifndef UNDER_TSAN
    CHECK(thread_count(server.pid()) == 2);  // it has as many workers as it was told
#endif
  }

#if !defined(UNDER_TSAN) && !defined(UNDER_ASAN)
  TEST_CASE("a first worker that cannot be started is named") {
    const std::string limits = "ulimit -s 1000000 && ulimit -v 500000 && exec \"$@\"";  // in KiB
    Process process({"sh", "-c", limits, "sh", binary(3), "--port", "0"});
    check_fails(3, process, "cannot start worker 0: Resource temporarily unavailable");
  }
#endif
}

TEST_SUITE("stage4") {
  TEST_CASE("stage 4") { check_stage(4); }

  TEST_CASE("a job that fails says why, and that is all") {
    Server server(stage_subject(4));
    Client(server.port(), request("/sleep"));
    REQUIRE(eventually([&] { return server.err().ends_with('\n'); }));
    const std::string said = server.err();
    CHECK(said.starts_with("Worker "));
    CHECK(said.substr(8) == "'s job failed: cannot send: Connection reset by peer\n");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
    CHECK(server.err() == said);
  }

  TEST_CASE("the log of a stop is the chapter's, in its order") {
    Subject subject = stage_subject(4);
    subject.workers = 1;
    Server server(subject, {.sleep = 1500ms});  // still asleep when the pool is told
    Client client(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("got a job"));
    server.send(SIGINT);
    CHECK(client.read().text() == "200, whole");
    CHECK(run(server).with(0));
    const std::string log = server.out();
    CHECK(log.substr(log.find('\n') + 1) ==
          "Worker 0 got a job; executing.\nShutting down.\nShutting down worker 0\n"
          "Worker 0 disconnected; shutting down.\n");
    CHECK(server.err().empty());
  }

  TEST_CASE("a whole request queued behind silent clients is answered after the stop") {
    Server server(stage_subject(4));
    std::vector<Client> silent;
    while (silent.size() < 20) silent.emplace_back(server.port());
    Client client(server.port(), request("/"));
    server.send(SIGTERM);
    CHECK(client.read().text() == "200, whole");
    CHECK(run(server).with(0));
  }

  TEST_CASE("the reader of its log goes away: it says so once, and goes on") {
    Pipe log = make_pipe();
    Server server(stage_subject(4), {}, {.out = log.write_end.get()});
    char first = 0;  // or it might be closed before the first line, which is a reason to end
    REQUIRE(::read(log.read_end.get(), &first, 1) == 1);
    log = {};
    for (int i = 0; i < 3; ++i) CHECK(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGINT);
    CHECK(run(server).with(0));
    CHECK(server.err() == "cannot write to stdout: Broken pipe. Further log lines are lost.\n");
  }

  TEST_CASE("nobody reads its log or its errors: it serves, and stops, all the same") {
    const Pipe log = make_stuck_pipe(150);
    Subject subject = stage_subject(4);
    subject.command.insert(subject.command.begin(), {"sh", "-c", "exec \"$@\" 2>&1", "sh"});
    Server server(subject, {.sleep = 1ms}, {.out = log.write_end.get()});
    for (int i = 0; i < 10; ++i) CHECK(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
  }

  TEST_CASE("log lines that nobody reads are dropped, and the next one says how many") {
    const Pipe log = make_stuck_pipe(4096);
    // Whoever else writes to it may have made it non-blocking.
    SUBCASE("into a pipe") {}
    SUBCASE("into a non-blocking pipe") {
      REQUIRE(::fcntl(log.write_end.get(), F_SETFL, O_NONBLOCK) == 0);
    }
    const FileDescriptor filling = reopen(log.write_end);
    Server server(stage_subject(4), {}, {.out = log.write_end.get()});
    const std::string first =
        "Listening on http://127.0.0.1:" + std::to_string(server.port()) + '\n';
    CHECK(read_some(log.read_end) == first);
    fill(filling);
    for (int i = 0; i < 7; ++i) CHECK(ask(server.port(), "/").text() == "200, whole");
    read_some(log.read_end);
    CHECK(ask(server.port(), "/").text() == "200, whole");
    const std::string said = read_some(log.read_end);
    CHECK(said.starts_with("Log lines dropped because nobody read stdout: 7.\nWorker "));
    CHECK(said.ends_with(" got a job; executing.\n"));

    fill(filling);
    CHECK(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
    // With the line "Shutting down." itself it is two, and there will be no next line.
    CHECK(server.err() == "Log lines dropped because nobody read stdout: 2.\n");
  }

  TEST_CASE("a terminal that nobody reads fills up, in the middle of a line") {
    const Terminal terminal = open_terminal();
    Server server(stage_subject(4), {}, {.out = terminal.slave.get()});
    for (int i = 0; i < 3000; ++i) REQUIRE(ask(server.port(), "/").text() == "200, whole");
    for (const int flags : descriptor_flags(server.pid())) CHECK((flags & O_CLOEXEC) != 0);
    std::string said;
    const auto read_all = [&] {
      // Room may come late: a terminal passes on what it has, step by step.
      while (wait_readable(terminal.master.get(), Clock::now() + 50ms))
        said += read_some(terminal.master);
    };
    read_all();
    for (int i = 0; i < 3; ++i) REQUIRE(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
    read_all();
    CHECK(said.find("\nLog lines dropped because nobody read stdout: ") != std::string::npos);
    // A line that has broken off is ended before the next one begins.
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.find("Worker", 1) == line.npos);
      CHECK(line.find("Log", 1) == line.npos);
    }
  }

  TEST_CASE("a socket that nobody reads cannot be opened once more, and is no reason to wait") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const FileDescriptor reader(ends[0]);
    const FileDescriptor log(ends[1]);
    Server server(stage_subject(4), {}, {.out = log.get()});
    CHECK(server.port() != 0);
    while (::send(log.get(), "x", 1, MSG_DONTWAIT) == 1) {
    }
    CHECK(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
  }

  TEST_CASE("a log that reaches the limit on a file's size is lost, and nobody else") {
    Subject subject = stage_subject(4);
    subject.command.insert(subject.command.begin(), {"sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"});
    const FileDescriptor log(::memfd_create("log", MFD_CLOEXEC));  // a pipe has no such limit
    REQUIRE(log.get() != -1);
    Server server(subject, {}, {.out = log.get()});
    for (int i = 0; i < 60; ++i) REQUIRE(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
    CHECK(server.err().starts_with(
        "cannot write to stdout: File too large. Further log lines are lost.\n"));
  }

  TEST_CASE("whatever a parent has ignored or closed, it serves and stops") {
    Subject subject = stage_subject(4);
    subject.command.insert(
        subject.command.begin(),
        {"sh", "-c", "trap '' INT TERM CHLD PIPE ALRM; exec \"$@\" <&- 2>&-", "sh"});
    Server server(subject);
    CHECK(ask(server.port(), "/").text() == "200, whole");
    const std::string fd = "/proc/" + std::to_string(server.pid()) + "/fd/";
    for (const int closed : {STDIN_FILENO, STDERR_FILENO})
      CHECK(std::filesystem::read_symlink(fd + std::to_string(closed)) == "/dev/null");
    server.send(SIGINT);
    CHECK(run(server).with(0));
  }

  TEST_CASE("a terminal that nobody reads, or that Ctrl-S has stopped, is no reason to wait") {
    for (const bool stopped : {false, true}) {
      const Terminal terminal = open_terminal();
      Server server(stage_subject(4), {}, {.out = terminal.slave.get()});
      REQUIRE(read_some(terminal.master).starts_with("Listening on "));
      if (stopped) {
        REQUIRE(::tcflow(terminal.slave.get(), TCOOFF) == 0);
      } else {
        fill(terminal.filling);
      }
      for (int i = 0; i < 5; ++i) CHECK(ask(server.port(), "/").text() == "200, whole");
      server.send(SIGTERM);
      CHECK(run(server).with(0));
      CHECK(server.err().starts_with("Log lines dropped because nobody read stdout: "));
    }
  }

  TEST_CASE("what is running and waiting when it gives up is told") {
    Subject subject = stage_subject(4);
    subject.workers = 2;
    Server server(subject, {.grace = 300ms, .sleep = 10s});
    CHECK(ask(server.port(), "/").text() == "200, whole");  // neither, by then
    std::vector<Client> clients;
    while (clients.size() < 7) clients.emplace_back(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("got a job", 3));
    server.send(SIGINT);
    CHECK(run(server).with(1));
    CHECK(server.err() == "Gave up: 2 running, 5 waiting.\n");
  }

  TEST_CASE("a long accept queue is served to its end") {
    const std::size_t count = allow_clients(1500);
    Server server(stage_subject(4));
    server.send(SIGSTOP);
    std::vector<Client> clients;
    while (clients.size() < count) clients.emplace_back(server.port(), request("/"));
    server.send(SIGTERM);
    server.send(SIGCONT);
    for (Client& client : clients) CHECK(client.read().text() == "200, whole");
    CHECK(run(server).with(0));
  }

  TEST_CASE("out of descriptors for long, all who were connected are answered all the same") {
    Server server(stage_subject(4), {.sleep = 700ms}, {.max_descriptors = 24});
    std::vector<Client> clients;
    while (clients.size() < 30) clients.emplace_back(server.port(), request("/sleep"));
    REQUIRE(eventually([&] { return descriptor_count(server.pid()) == 24; }));
    server.send(SIGTERM);
    for (Client& client : clients) CHECK(client.read().text() == "200, whole");
    CHECK(run(server).with(0));
  }

  TEST_CASE("all descriptors in use and nobody waiting, the port closes at once") {
    Server server(stage_subject(4), {.sleep = 10s}, {.max_descriptors = 24});
    std::vector<Client> clients;
    while (descriptor_count(server.pid()) < 24) {
      clients.emplace_back(server.port(), request("/sleep"));
      REQUIRE(eventually([&] { return peers(server.port())[clients.back().port()].accepted; }));
    }
    server.send(SIGTERM);
    CHECK(eventually([&] { return !is_listening(server.port()); }, 1500ms));
    CHECK(server.is_running());
  }

  TEST_CASE("while it drains, it sleeps") {
    Server server(stage_subject(4), {.sleep = 10s});
    const Client slow(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("got a job"));
    server.send(SIGTERM);
    REQUIRE(server.wait_for_out("Shutting down worker"));
    check_idle(server);
  }

  TEST_CASE("a second Ctrl-C is told by status 130, also after a SIGTERM and a first Ctrl-C") {
    for (const int before : {0, SIGTERM}) {
      Server server(stage_subject(4), {.sleep = 10s});
      const Client client(server.port(), request("/sleep"));
      REQUIRE(server.wait_for_out("got a job"));
      if (before != 0) server.send(before);
      server.send(SIGINT);
      REQUIRE(server.wait_for_out("Shutting down."));
      pause_for(400ms);
      server.send(SIGINT);
      CHECK(run(server).with(130));
    }
  }

  TEST_CASE("a first Ctrl-C while take(n) drains is no second one") {
    Server server(stage_subject(4), {.take = 1, .sleep = 1s});
    Client client(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("Shutting down."));
    server.send(SIGINT);
    CHECK(client.read().text() == "200, whole");
    CHECK(run(server).with(0));
  }

  TEST_CASE("SIGHUP stays ignored if it was at the start, as by nohup") {
    Subject subject = stage_subject(4);
    subject.command.insert(subject.command.begin(), {"sh", "-c", "trap '' HUP; exec \"$@\"", "sh"});
    Server server(subject);
    server.send(SIGHUP);
    CHECK(ask(server.port(), "/").text() == "200, whole");
    server.send(SIGTERM);
    CHECK(run(server).with(0));
  }

  TEST_CASE("nothing was lost: exit 0, however short the grace period is") {
    for (const auto grace : {0ms, 500ms}) {
      Server server(stage_subject(4), {.grace = grace});
      std::optional<Client> silent;
      if (grace > 0ms) silent.emplace(server.port());
      REQUIRE((!silent || server.wait_for_out("got a job")));
      server.send(SIGTERM);
      CHECK(run(server).with(0));
      CHECK(server.err().empty());
    }
  }

  TEST_CASE("what the grace period leaves in the accept queue shows in the status") {
    Server server(stage_subject(4), {.grace = 0ms});
    server.send(SIGSTOP);
    REQUIRE(eventually([&] { return process_state(server.pid()) == 'T'; }));
    std::vector<Client> clients;
    while (clients.size() < 20) clients.emplace_back(server.port(), request("/"));
    server.send(SIGTERM);
    server.send(SIGCONT);
    const Exit exit = run(server);
    // Some may be served before the signal reaches it; but all of them only if it says so.
    const bool all = std::ranges::all_of(clients, [](Client& c) { return c.read().is_ok(); });
    CHECK(exit.with(all ? 0 : 1));
    CHECK(server.err().empty() == all);
  }

  TEST_CASE("after the stop, nobody lingers long, and no answer is destroyed for that") {
    Server server(stage_subject(4), {.sleep = 1500ms});
    std::vector<Client> slow;
    while (slow.size() < 4) slow.emplace_back(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("got a job", 4));
    // Of these the whole body is here already when a worker turns to them, too late for lingering.
    std::vector<Client> posts;
    const std::string post =
        request("/", "POST", "Content-Length: 60000\r\n") + std::string(60000, 'x');
    while (posts.size() < 20) posts.emplace_back(server.port(), post);
    server.send(SIGTERM);
    for (Client& client : slow) CHECK(client.read().text() == "200, whole");
    const auto start = Clock::now();
    for (Client& client : posts) {
      const Answer answer = client.read();
      CHECK(answer.is_whole());
      CHECK(answer.status() == 404);
    }
    CHECK(run(server).with(0));
    CHECK(Clock::now() - start < 3s);
  }

  TEST_CASE("a page of 10 MB reaches a client that reads slowly") {
    char folder[] = "/tmp/pages-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    const std::filesystem::path pages = folder;
    std::ofstream(pages / "hello.html") << std::string(10'000'000, 'x');
    std::ofstream(pages / "404.html") << "Oops!";
    Subject subject = stage_subject(4);
    subject.command.insert(subject.command.end(), {"--html", folder});
    Server server(subject);
    std::filesystem::remove_all(pages);
    Client client(server.port(), request("/"));
    REQUIRE(server.wait_for_out("got a job"));
    server.send(SIGTERM);
    REQUIRE(eventually([&] { return !is_listening(server.port()); }));
    const Answer answer = client.read();
    CHECK(answer.text() == "200, whole");
    CHECK(answer.body().size() == 10'000'000);
    CHECK(run(server).with(0));
  }

#if !defined(UNDER_TSAN) && !defined(UNDER_ASAN)
  // ThreadSanitizer puts off the signal handler while write() waits.
  TEST_CASE("a stop that comes before the first line is a stop, and nobody is lost") {
    const Pipe log = make_stuck_pipe(0);
    Server server(stage_subject(4), {}, {.out = log.write_end.get()});
    server.send(SIGTERM);
    CHECK(run(server).with(0));
    CHECK(server.err().starts_with("Log lines dropped because nobody read stdout: "));
  }

  TEST_CASE("out of memory it waits for some, and nobody is lost") {
    const std::size_t count = allow_clients(1400);
    Subject subject = stage_subject(4);
    subject.workers = 2;
    Server server(subject, {.sleep = 2s});
    CHECK(ask(server.port(), "/").text() == "200, whole");
    std::vector<Client> clients;
    while (clients.size() < 2) clients.emplace_back(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("got a job", 3));
    const rlim_t size = memory_size(server.pid());
    const rlimit limit{size, size};
    REQUIRE(::prlimit(server.pid(), RLIMIT_AS, &limit, nullptr) == 0);
    while (clients.size() < count) clients.emplace_back(server.port(), request("/"));
    server.send(SIGTERM);
    for (Client& client : clients) CHECK(client.read().text() == "200, whole");
    CHECK(run(server).with(0));
    CHECK(server.err().empty());
  }

  TEST_CASE("a body is read on a stack of 64 KiB, too") {
    Subject subject = stage_subject(4);
    subject.command.insert(subject.command.begin(),
                           {"sh", "-c", "ulimit -s 64 && exec \"$@\"", "sh"});
    Server server(subject);
    Client client(server.port(), request("/", "POST", "Content-Length: 5\r\n") + "hello");
    const Answer answer = client.read();
    CHECK(answer.is_whole());
    CHECK(answer.status() == 404);
    server.send(SIGTERM);
    CHECK(run(server).with(0));
  }

  TEST_CASE("threads that cannot be started are a reason, and no hang") {
    Process process({binary(4), "--port", "0", "--workers", "1000"},
                    {.max_memory = std::size_t{1} << 30});
    CHECK(run(process).with(1));
    CHECK(process.err().starts_with("stage4: cannot start worker "));
    CHECK(process.out().find("Listening") == std::string::npos);
  }
#endif
}

// A client has 5 s for its head. Each stage by itself, so that they can be tested at once.
TEST_SUITE("deadline") {
  TEST_CASE("stage 1") { check_deadline(1); }
  TEST_CASE("stage 2") { check_deadline(2); }
  TEST_CASE("stage 3") { check_deadline(3); }
  TEST_CASE("stage 4") { check_deadline(4); }
}

TEST_SUITE("process_one") {
  TEST_CASE("as process 1, where signals left at their default are ignored") {
    const Promise& promise = promises()[process_one - 1];
    std::array<Judgement, 4> judgements;
    in_parallel(judgements.size(), judgements.size(), [&](std::size_t i) {
      judgements[i] = judge(promise, stage_subject(static_cast<int>(i) + 1));
    });
    for (int stage = 1; stage <= 4; ++stage) {
      const Judgement& judgement = judgements[static_cast<std::size_t>(stage) - 1];
      if (judgement.verdict == Verdict::not_judged) {
        skip(judgement.evidence);
      } else {
        check_promise(stage, promise, judgement);
      }
    }
  }
}

// What a container may not allow.
TEST_SUITE("rights") {
  TEST_CASE("a listener that breaks is a reason to stop: exit 1, after the drain") {
    Server server(stage_subject(4), {.sleep = 1s});
    const Client silent(server.port());
    Client slow(server.port(), request("/sleep"));
    REQUIRE(server.wait_for_out("got a job", 2));
    if (!break_listener(server)) return skip("no process may take another's descriptors");
    CHECK(slow.read().text() == "200, whole");
    CHECK(server.exit_within(4s).with(1));  // the silent one has 5 s otherwise
    CHECK(server.err() == "stage4: cannot accept: Invalid argument\n");
  }
}
