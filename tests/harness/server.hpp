#pragma once

#include "kernel.hpp"
#include "process.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// A server to be judged: how to start it, and what it is told or known to do.
struct Subject {
  // In it, {port}, {sleep}, {workers}, {take}, {grace} and {html} are filled in.
  std::vector<std::string> command;
  std::uint16_t port = 0;                // 0: whichever it listens on
  std::chrono::milliseconds sleep{400};  // how long its /sleep takes
  std::size_t workers = 4;
  std::string html{};            // a folder with its pages, hello.html and 404.html
  std::string hello = "Hello!";  // what they say
  std::string oops = "Oops!";

  bool knows(std::string_view placeholder) const;
};

// The four stages as they were built; `stage` is 1 to 4.
Subject stage_subject(int stage);

// What one run needs. A flag whose value is not set is left out of the command.
struct Run {
  std::optional<int> take{};
  std::optional<std::chrono::milliseconds> grace{};
  std::optional<std::chrono::milliseconds> sleep{};  // where the command can set it
  std::uint16_t port = 0;
};

std::vector<std::string> command_line(const Subject& subject, const Run& run);

// A started server that listens where 127.0.0.1 reaches it: the process that was started, or one
// that it has started in turn. Signals go to the one that listens; the end is that of the one
// started.
class Server : public Process {
 public:
  // Throws std::runtime_error if nobody listens within 10 s, with what was found instead.
  explicit Server(const Subject& subject, const Run& run = {}, const Launch& launch = {});
  // Also ends a listener that is in a group of its own: the next server may want its port.
  ~Server();

  std::uint16_t port() const { return ports_.front(); }
  // All it listens on; the one above is the one it tells on stdout, or had first.
  const std::vector<std::uint16_t>& ports() const { return ports_; }
  // By a process that the one started has started in turn.
  bool listens_by_another() const { return listener_ != pid(); }
  pid_t listener() const { return listener_; }

  // To the one that listens. Throws std::system_error if that is not permitted.
  void send(int signal) const;
  // SIGSTOP to all its processes, parents first; false if one does not stop. And SIGCONT, children
  // first. So nobody who waits for a child sees it stopped, as a shell would.
  bool freeze() const;
  void thaw() const;
  std::vector<pid_t> processes() const { return family(pid()); }
  // Those of them that have its listening socket.
  std::vector<pid_t> acceptors() const;

 private:
  bool find_listener(std::uint16_t wanted, bool in_family);

  pid_t listener_ = -1;
  FileDescriptor held_;  // a pidfd of it
  std::vector<std::uint16_t> ports_;
};
