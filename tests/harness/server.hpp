#pragma once

#include "process.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// A server to be judged: how to start it, and what it is told or known to do.
struct Subject {
  // In it, {port}, {sleep}, {workers}, {take} and {grace} are filled in.
  std::vector<std::string> command;
  std::uint16_t port = 0;                // 0: whichever it listens on
  std::chrono::milliseconds sleep{400};  // how long its /sleep takes
  std::size_t workers = 4;

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

// A started server that listens.
class Server : public Process {
 public:
  // Throws std::runtime_error if it does not listen within 10 s.
  explicit Server(const Subject& subject, const Run& run = {}, const Launch& launch = {});

  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
};
