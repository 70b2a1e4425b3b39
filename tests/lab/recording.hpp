#pragma once

#include "tests/harness/client.hpp"
#include "tests/harness/process.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What was seen, from outside, of a few servers to which the same happened. A demo records it, a
// picture shows it.

// Since the first client began.
using Time = std::chrono::milliseconds;

enum class Plot {
  ctrl_c,      // Ctrl-C while clients wait for /sleep
  rude_client  // one of them resets its connection instead
};

struct Scene {
  Plot plot = Plot::ctrl_c;
  std::size_t clients = 6;
  std::size_t workers = 4;
  Time sleep{1500};
  Time at{1000};  // of the Ctrl-C, or of the reset

  // When all is over, if `workers` requests are served at a time.
  Time length() const;
};

// Where a client's request is.
enum class State {
  connecting,  // the server's kernel does not know the connection
  in_kernel,   // the server has not accepted it
  accepted,    // but not read the request
  served
};

enum class Fate {
  answered,  // 200 OK, whole
  lost,
  refused,
  left  // it was the client that reset the connection
};

struct Change {
  Time at;
  State to;
};

struct End {
  Time at;
  Fate fate;
  std::string text;  // "200 OK"
};

struct ClientRecord {
  std::string name;
  std::vector<Change> changes;  // in order; the first is when it began to connect
  std::optional<End> end{};

  // Where its request was at that time; nullopt before and after.
  std::optional<State> state(Time at) const;
};

struct Ending {
  Time at;
  Exit exit;
};

struct ServerRecord {
  std::string name;
  std::vector<ClientRecord> clients;  // the last one comes late
  std::optional<Ending> ending{};
  std::size_t disconnected = 0;  // workers that said so on stdout
  std::string said{};            // on stderr
  std::string why{};             // it still runs, once nobody waits for its end any longer
};

struct Recording {
  Scene scene;
  Time now{0};
  bool over = false;               // nobody waits any longer for what has not come by now
  std::optional<Time> happened{};  // when the Ctrl-C was sent, or the connection reset
  std::vector<ServerRecord> servers{};
};

// In the words of a legend.
std::string_view meaning(State state);
std::string_view meaning(Fate fate);

std::string seconds(Time time);                      // "1.5"
std::string title(const Scene& scene);               // "Ctrl-C with 6 clients on /sleep, 4 workers"
std::string_view what_happened(const Scene& scene);  // "^C"

// The last moment to be drawn.
Time span(const Recording& recording);

// What became of a client, and where it was at the decisive moment: "200 OK (queued at ^C)". Empty
// while that is open.
std::string outcome(const Recording& recording, const ClientRecord& client);

// "exit 0, answered 6 of 6"
std::string summary(const ServerRecord& server);

// What the server itself has said of it, by stream.
std::vector<std::pair<std::string, std::string>> output(const Scene& scene,
                                                        const ServerRecord& server);

// The end of a client whose request was last seen in `last`.
End make_end(Time at, const Answer& answer, State last);
