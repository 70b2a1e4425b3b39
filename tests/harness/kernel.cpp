#include "kernel.hpp"

#include "common/tcp.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

struct Row {
  unsigned port = 0;
  unsigned peer_port = 0;
  unsigned state = 0;
  std::size_t unsent = 0;
  std::size_t unread = 0;
  unsigned long inode = 0;
};

constexpr unsigned established = 1;
constexpr unsigned close_wait = 8;
constexpr unsigned listen_state = 10;

using Rows = std::vector<Row>;

// sock_diag(7): of all sockets in these states. It leaves the others out by itself, and so takes no
// time for those that are long over, in TIME_WAIT. nullopt: the kernel does not know how.
std::optional<Rows> ask_kernel(unsigned states) {
  const FileDescriptor netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  struct {
    nlmsghdr head;
    inet_diag_req_v2 body;
  } question{};
  question.head.nlmsg_len = sizeof question;
  question.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.body.sdiag_family = AF_INET;
  question.body.sdiag_protocol = IPPROTO_TCP;
  question.body.idiag_states = states;
  if (::send(netlink.get(), &question, sizeof question, 0) == -1) return std::nullopt;

  Rows rows;
  alignas(nlmsghdr) std::array<char, 32768> part;
  while (true) {
    const ssize_t size = ::recv(netlink.get(), part.data(), part.size(), 0);
    if (size <= 0) return std::nullopt;
    auto left = static_cast<unsigned>(size);
    for (const auto* head = reinterpret_cast<const nlmsghdr*>(part.data()); NLMSG_OK(head, left);
         head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type == NLMSG_DONE) {
        const bool failed = *static_cast<const int*>(NLMSG_DATA(head)) < 0;
        return failed ? std::nullopt : std::optional(rows);
      }
      if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
      const auto* row = static_cast<const inet_diag_msg*>(NLMSG_DATA(head));
      rows.push_back({ntohs(row->id.idiag_sport), ntohs(row->id.idiag_dport), row->idiag_state,
                      row->idiag_wqueue, row->idiag_rqueue, row->idiag_inode});
    }
  }
}

// proc(5), /proc/net/tcp: the same, but of every socket there is.
Rows read_table(unsigned states) {
  Rows rows;
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    Row row;
    if (std::sscanf(line.c_str(), "%*u: %*x:%x %*x:%x %x %zx:%zx %*x:%*x %*x %*u %*u %lu",
                    &row.port, &row.peer_port, &row.state, &row.unsent, &row.unread,
                    &row.inode) == 6 &&
        (states & 1U << row.state) != 0) {
      rows.push_back(row);
    }
  }
  return rows;
}

Rows sockets_in(unsigned states) {
  const std::optional<Rows> rows = ask_kernel(states);
  return rows ? *rows : read_table(states);
}

template <typename Matches>
std::optional<std::uint16_t> find_listening(Matches matches) {
  for (const Row& row : sockets_in(1U << listen_state)) {
    if (matches(row)) return static_cast<std::uint16_t>(row.port);
  }
  return std::nullopt;
}

std::filesystem::path proc(pid_t pid) { return "/proc/" + std::to_string(pid); }

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder of /proc may vanish while it is read.
template <typename Visit>
void each_entry(const std::filesystem::path& folder, Visit visit) {
  std::error_code gone;
  for (std::filesystem::directory_iterator it(folder, gone), end; !gone && it != end;
       it.increment(gone)) {
    visit(it->path());
  }
}

// proc(5), /proc/PID/status
int status_number(pid_t pid, std::string_view field) {
  const std::string status = read_file(proc(pid) / "status");
  const std::size_t at = status.find(field);
  return at == std::string::npos ? 0 : std::atoi(status.c_str() + at + field.size());
}

// proc(5), /proc/PID/stat
char state_in(const std::filesystem::path& folder) {
  const std::string stat = read_file(folder / "stat");
  const std::size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos ? '?' : stat[name_end + 2];
}

}  // namespace

std::map<std::uint16_t, Peer> peers(std::uint16_t port) {
  std::map<std::uint16_t, Peer> found;
  const Rows rows = sockets_in(1U << established | 1U << close_wait);
  for (const Row& row : rows) {
    if (row.port == port)
      found[static_cast<std::uint16_t>(row.peer_port)] = {row.inode != 0, row.unread};
  }
  for (const Row& row : rows) {  // the clients' sides
    const auto peer = found.find(static_cast<std::uint16_t>(row.port));
    if (row.peer_port == port && peer != found.end()) peer->second.unread += row.unsent;
  }
  return found;
}

bool is_listening(std::uint16_t port) {
  return find_listening([&](const Row& row) { return row.port == port; }).has_value();
}

std::optional<std::uint16_t> listening_port(pid_t pid) {
  std::set<std::string> sockets;
  each_entry(proc(pid) / "fd", [&](const std::filesystem::path& fd) {
    std::error_code gone;
    sockets.insert(std::filesystem::read_symlink(fd, gone).string());
  });
  return find_listening([&](const Row& row) {
    return sockets.contains("socket:[" + std::to_string(row.inode) + "]");
  });
}

std::vector<pid_t> children(pid_t pid) {
  std::ifstream file(proc(pid) / "task" / std::to_string(pid) / "children");
  return {std::istream_iterator<pid_t>(file), {}};
}

int thread_count(pid_t pid) { return status_number(pid, "Threads:"); }

std::size_t memory_size(pid_t pid) {
  return static_cast<std::size_t>(status_number(pid, "VmSize:")) * 1024;
}

int peak_memory(pid_t pid) { return status_number(pid, "VmHWM:"); }

int descriptor_count(pid_t pid) {
  int count = 0;
  each_entry(proc(pid) / "fd", [&](const auto&) { ++count; });
  return count;
}

std::vector<int> descriptor_flags(pid_t pid) {
  std::vector<int> all;
  each_entry(proc(pid) / "fdinfo", [&](const std::filesystem::path& fd) {
    constexpr std::string_view field = "flags:\t";
    const std::string info = read_file(fd);
    const std::size_t at = info.find(field);
    if (std::stoi(fd.filename()) > STDERR_FILENO && at != std::string::npos) {
      all.push_back(std::stoi(info.substr(at + field.size()), nullptr, 8));
    }
  });
  return all;
}

double processor_seconds(pid_t pid) {
  double nanoseconds = 0;
  each_entry(proc(pid) / "task", [&](const std::filesystem::path& task) {
    nanoseconds += std::atof(read_file(task / "schedstat").c_str());
  });
  return nanoseconds / 1e9;
}

char process_state(pid_t pid) { return state_in(proc(pid)); }

bool all_threads_sleep(pid_t pid) {
  bool all = true;
  each_entry(proc(pid) / "task", [&](const auto& task) { all = all && state_in(task) == 'S'; });
  return all;
}
