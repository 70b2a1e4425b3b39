#pragma once

#include "recording.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/server.hpp"

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

// One of the servers on stage.
struct Role {
  std::string name;
  Subject subject;
  bool has_pool = false;  // one of ours, whose lines on stdout tell which worker has which job
  bool is_stage = false;  // one of ours: whoever waits there is known by the call it waits in
};

struct Conditions {
  Time sleep{3000};
  std::size_t workers = 4;
};

// One or two servers to which the same happens, with real processes and real clients. It records
// what can be seen from outside: by the clients, and in the kernel's tables.
class Desk {
 public:
  // Starts the servers. Throws std::runtime_error if one does not start.
  Desk(std::span<const Role> roles, const Conditions& conditions, std::string title);

  // `count` clients at once, to each server.
  void connect(Kind kind, std::size_t count);
  // To each server; false if none runs any more. `name` is how the picture calls it.
  bool send(int signal, std::string name);

  // Waits up to `limit`, or until one of `others` or of the clients is ready; then snapshots.
  void step(std::span<pollfd> others, Time limit);

  // Is every client where it will be for a while? A signal of a script is to find them there.
  bool is_settled() const;
  // Has every client its end, and every server that was to stop its own? Or waits nobody any
  // longer, since it should all have come seconds ago?
  bool is_over() const;
  // After that: why a server still runs that was to stop.
  void close();

  const Recording& recording() const { return recording_; }

 private:
  struct Seat {
    std::unique_ptr<Server> server;
    Role role;
    std::map<pid_t, std::string> names{};  // of its threads
    std::vector<Exchange> exchanges{};     // as the record's clients
    std::array<std::size_t, 2> read{};     // of what it has said, by stream
    std::vector<std::string> workers{};    // who has got the first job, the second, and so on
  };

  Time now() const;
  void advance(Seat& seat, ServerRecord& record);
  void look_at(Seat& seat, ServerRecord& record);
  void follow(Seat& seat, ServerRecord& record, const std::map<std::uint16_t, Peer>& table);
  void listen_to(Seat& seat, ServerRecord& record, bool ends);
  static std::vector<Doing*> busy(const Seat& seat, const ServerRecord& record,
                                  std::vector<Doing>& threads);
  Snapshot look(Seat& seat, const ServerRecord& record, const std::map<std::uint16_t, Peer>& table);

  Recording recording_;
  std::vector<Seat> seats_;  // as the recording's servers
  Clock::time_point start_;
  Time touched_{0};  // when something was last done to the servers
};
