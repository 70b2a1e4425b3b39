#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

// What the kernel knows of a server: sock_diag(7) and /proc. It tells of any server, also of one
// that prints nothing.

// The server's side of one connection.
struct Peer {
  bool accepted = false;   // by the server; else it is still in the kernel's queue
  std::size_t unread = 0;  // bytes on their way to the server, or there and not yet read
};

// All established connections to port `port`, by the client's port.
std::map<std::uint16_t, Peer> peers(std::uint16_t port);

// Connections that the kernel has completed and nobody has accepted (listen(2)).
struct AcceptQueue {
  std::size_t length = 0;
  std::size_t limit = 0;  // 0: not known
  bool operator==(const AcceptQueue&) const = default;
};

// Of whoever listens there for us, all sockets together; nullopt: nobody does.
std::optional<AcceptQueue> accept_queue(std::uint16_t port);

// Does anybody listen there?
bool is_listening(std::uint16_t port);

// A socket on which a process listens.
struct Listener {
  pid_t pid = 0;
  std::uint16_t port = 0;
  std::string address;     // "127.0.0.1:7878", "[::]:7878"
  bool is_for_us = false;  // who connects to 127.0.0.1 gets there
};

// All those of process `pid`, the one with the lowest descriptor first.
std::vector<Listener> listeners(pid_t pid);

// Those of its children that still run.
std::vector<pid_t> children(pid_t pid);
// `pid`, and after it its children, and theirs in turn.
std::vector<pid_t> family(pid_t pid);
// "1234 (python3)"
std::string process_name(pid_t pid);

int thread_count(pid_t pid);           // 0 if it is gone
std::size_t memory_size(pid_t pid);    // of its address space, in bytes; 0 if it is gone
std::size_t resident_size(pid_t pid);  // of its memory, in bytes; 0 if it is gone
int peak_memory(pid_t pid);            // in KiB, of what was ever resident at once; 0 if it is gone
int descriptor_count(pid_t pid);       // 0 if it is gone
// Their flags, as of fcntl(): O_NONBLOCK and so on. Without the standard streams'.
std::vector<int> descriptor_flags(pid_t pid);
double processor_seconds(pid_t pid);  // of all threads together
char process_state(pid_t pid);        // 'T': stopped
bool all_threads_sleep(pid_t pid);

struct Thread {
  pid_t id = 0;
  std::string name;  // up to 15 characters; the program's if it was given none
  char state = '?';  // as for a process
  long call = -1;    // the system call that it is in; -1: none, or we may not know
};

// All threads of process `pid`, the main thread first.
std::vector<Thread> threads(pid_t pid);
