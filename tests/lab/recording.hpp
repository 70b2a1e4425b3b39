#pragma once

#include "tests/harness/client.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/process.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What was seen, from outside, of one or two servers to which the same happened. The desk records
// it, a picture shows it: as of any moment, since all of it has a time.

// Since the servers were started.
using Time = std::chrono::milliseconds;

enum class Kind {
  quick,      // GET /
  slow,       // GET /sleep
  silent,     // sends nothing
  trickling,  // sends its request byte by byte
  rude        // asks for /sleep, and resets the connection while the answer is being made
};

// Where a client's request is.
enum class State {
  connecting,  // the server's kernel does not know the connection
  in_kernel,   // complete, and in the accept queue
  accepted,    // by the server, which has not read the request
  served
};

enum class Fate {
  answered,     // 200 OK, whole
  turned_away,  // by another answer, whole; or by a close, where nothing had been asked
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
  Kind kind = Kind::quick;
  std::size_t batch = 0;          // how many began with it at once; 0: it is not the first of them
  std::size_t sent = 0;           // bytes, by one that trickles
  std::vector<Change> changes{};  // in order; the first is when it began to connect
  std::optional<End> end{};

  // Where its request was at that time; nullopt before and after.
  std::optional<State> state(Time at) const;
};

// A client in the accept queue, and the bytes that nobody has read yet.
struct Waiting {
  std::size_t client;
  std::size_t unread;
  bool operator==(const Waiting&) const = default;
};

// A thread, and what it does. Which client it has is inferred, not told by the kernel.
struct Doing {
  std::string thread;
  std::string what;
  bool sleeps = false;  // as a thread that serves /sleep does
  bool idle = false;    // a worker without a job
  std::optional<std::size_t> client{};
  bool operator==(const Doing&) const = default;
};

// How things stand in the kernel and in the server.
struct Snapshot {
  std::optional<AcceptQueue> queue{};  // nullopt: nobody listens
  std::size_t resident = 0;            // MiB of memory
  std::size_t mapped = 0;              // MiB of address space
  std::vector<Waiting> waiting{};      // in the accept queue, the first of them
  std::vector<Doing> threads{};        // the main thread first
  std::vector<std::size_t> jobs{};     // clients in the job queue, inferred
  bool operator==(const Snapshot&) const = default;
};

struct Said {
  Time at;
  bool on_stderr;
  std::string line;
};

struct Ending {
  Time at;
  Exit exit;
};

struct ServerRecord {
  std::string name;
  pid_t pid = 0;
  std::uint16_t port = 0;
  bool has_pool = false;  // of ours: its job queue and its workers can be inferred
  std::vector<ClientRecord> clients{};
  std::vector<std::pair<Time, Snapshot>> snapshots{};  // each time something had changed
  std::vector<Said> said{};
  std::optional<Ending> ending{};
  std::string why{};  // it still runs, once nobody waits for its end any longer

  const Snapshot* look(Time at) const;
};

// A signal, or what else was done to the servers.
struct Mark {
  Time at;
  std::string name;  // "^C", "SIGSTOP"
  bool is_stop = false;
};

struct Recording {
  std::string title{};
  std::string keys{};  // the script of it
  Time sleep{1500};
  std::size_t workers = 4;
  Time now{0};
  bool over = false;  // nobody waits any longer for what has not come by now
  std::vector<Mark> marks{};
  std::vector<ServerRecord> servers{};

  std::optional<Time> stop() const;  // the first one
};

// In the words of a legend. What is accepted and not read waits in a job queue, where there is one.
std::string_view meaning(const Recording& recording, State state);
std::string_view meaning(Fate fate);
std::string_view meaning(Kind kind);  // "get", "slow"

// "12 slow"; "5-54 slow" for a batch.
std::string name(const ServerRecord& server, std::size_t client);

// Where the next client, or batch, begins.
std::size_t next_row(const ServerRecord& server, std::size_t client);

std::string seconds(Time time);  // "1.5"

// Its title, with the number of workers if a server has a pool.
std::string heading(const Recording& recording);

// The first and the last moment to be drawn.
Time begin(const Recording& recording);
Time end(const Recording& recording);

// What became of a client, and where it was at the stop: "200 OK (queued at ^C)". Empty while that
// is open. Of a batch: "46 200 OK, 4 lost".
std::string outcome(const Recording& recording, const ServerRecord& server, std::size_t client,
                    Time at);

// Where the request of a client, or of most of a batch, was at that time, and whether its end was
// within `length` before it.
struct Cell {
  std::optional<State> state;
  std::optional<Fate> fate;
};
Cell cell(const ServerRecord& server, std::size_t client, Time at, Time length);

// Has a client ended so, or been there?
bool has(const Recording& recording, Fate fate);
bool has(const Recording& recording, State state);

// "exit 0, answered 6 of 6"
std::string summary(const ServerRecord& server, Time at);

// What the server itself has said of it, by stream: how many workers have taken their leave, and
// the last words on stderr.
std::vector<std::pair<std::string, std::string>> last_words(const Recording& recording,
                                                            const ServerRecord& server);

// The end of a client whose request was last seen in `last`.
End make_end(Time at, const Answer& answer, Kind kind, State last);
