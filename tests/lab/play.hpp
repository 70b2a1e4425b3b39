#pragma once

#include "recording.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/server.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

// One of the servers that play.
struct Role {
  std::string name;
  Subject subject;
};

// Plays a scene to several servers at the same time, with real processes and real clients, and
// records what can be seen from outside: by the clients, and in the kernel's table.
class Play {
 public:
  // Starts the servers. Throws std::runtime_error if one does not start.
  Play(const Scene& scene, std::span<const Role> roles);

  // Goes on for some 10 ms. False once it is over.
  bool step();

  const Recording& recording() const { return recording_; }

 private:
  struct Cast {
    std::unique_ptr<Server> server;
    std::vector<std::optional<Exchange>> exchanges;  // as the record's clients
  };

  Time now() const;
  std::optional<Time> start_of(std::size_t client) const;
  void start_clients();
  bool is_due() const;
  bool is_settled(const ServerRecord& server) const;
  void let_it_happen();
  void wait_for_clients();
  void look();
  void look_at(Cast& cast, ServerRecord& record);
  bool is_over() const;

  Recording recording_;
  std::vector<Cast> casts_;  // as the recording's servers
  Clock::time_point start_;
};
