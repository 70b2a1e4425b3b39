#include "kernel.hpp"

#include "common/tcp.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
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
  int family = AF_INET;
  std::array<std::uint32_t, 4> address{};  // in the order of the network
  bool only_v6 = false;                    // IPV6_V6ONLY
};

constexpr unsigned established = 1;
constexpr unsigned close_wait = 8;
constexpr unsigned listen_state = 10;

using Rows = std::vector<Row>;

Row row_of(const nlmsghdr* head) {
  const auto* diag = static_cast<const inet_diag_msg*>(NLMSG_DATA(head));
  Row row{ntohs(diag->id.idiag_sport), ntohs(diag->id.idiag_dport), diag->idiag_state,
          diag->idiag_wqueue,          diag->idiag_rqueue,          diag->idiag_inode,
          diag->idiag_family};
  std::ranges::copy(diag->id.idiag_src, row.address.begin());
  auto left = static_cast<int>(head->nlmsg_len - NLMSG_LENGTH(sizeof *diag));
  for (const auto* attribute = reinterpret_cast<const rtattr*>(diag + 1); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type == INET_DIAG_SKV6ONLY)
      row.only_v6 = *static_cast<const std::uint8_t*>(RTA_DATA(attribute)) != 0;
  }
  return row;
}

// sock_diag(7): of all sockets of that family in these states. It leaves the others out by itself,
// and so takes no time for those that are long over, in TIME_WAIT. nullopt: the kernel does not
// know how.
std::optional<Rows> ask_kernel(int family, unsigned states) {
  const FileDescriptor netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  // Then /proc could not be read either, and would look empty.
  if (netlink.get() == -1 && (errno == EMFILE || errno == ENFILE))
    throw std::system_error(errno, std::generic_category(), "cannot ask the kernel");
  struct {
    nlmsghdr head;
    inet_diag_req_v2 body;
  } question{};
  question.head.nlmsg_len = sizeof question;
  question.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.body.sdiag_family = static_cast<std::uint8_t>(family);
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
      rows.push_back(row_of(head));
    }
  }
}

// proc(5), /proc/net/tcp and tcp6: the same, but of every socket there is.
Rows read_table(int family, unsigned states) {
  Rows rows;
  std::ifstream table(family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    Row row;
    row.family = family;
    std::array<char, 33> address{};
    if (std::sscanf(line.c_str(), "%*u: %32[0-9A-F]:%x %*x:%x %x %zx:%zx %*x:%*x %*x %*u %*u %lu",
                    address.data(), &row.port, &row.peer_port, &row.state, &row.unsent, &row.unread,
                    &row.inode) != 7 ||
        (states & 1U << row.state) == 0) {
      continue;
    }
    for (std::size_t i = 0; i < 4 && address[8 * i] != '\0'; ++i)
      std::from_chars(&address[8 * i], &address[8 * i] + 8, row.address[i], 16);
    rows.push_back(row);
  }
  return rows;
}

// Of IPv6 as well: a server that listens on [::] is reached by IPv4, and has its connections there.
Rows sockets_in(unsigned states) {
  Rows rows;
  for (const int family : {AF_INET, AF_INET6}) {
    const std::optional<Rows> told = ask_kernel(family, states);
    const Rows found = told ? *told : read_table(family, states);
    rows.insert(rows.end(), found.begin(), found.end());
  }
  return rows;
}

Listener listener_of(const Row& row, pid_t pid) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(row.family, row.address.data(), text.data(), text.size());
  const std::string address = text.data();
  const bool v6 = row.family == AF_INET6;
  return {pid, static_cast<std::uint16_t>(row.port),
          (v6 ? '[' + address + ']' : address) + ':' + std::to_string(row.port),
          v6 ? (address == "::" && !row.only_v6) || address == "::ffff:127.0.0.1"
             : address == "127.0.0.1" || address == "0.0.0.0"};
}

std::filesystem::path proc(pid_t pid) { return "/proc/" + std::to_string(pid); }

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');  // who has just ended is an error of reading: no exception here
  return text;
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
long status_number(pid_t pid, std::string_view field) {
  const std::string status = read_file(proc(pid) / "status");
  const std::size_t at = status.find('\n' + std::string(field));
  return at == std::string::npos ? 0 : std::atol(status.c_str() + at + 1 + field.size());
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

std::optional<AcceptQueue> accept_queue(std::uint16_t port) {
  std::optional<AcceptQueue> all;
  for (const Row& row : sockets_in(1U << listen_state)) {
    if (row.port != port || !listener_of(row, 0).is_for_us) continue;
    if (!all) all.emplace();
    all->length += row.unread;
    all->limit += row.unsent;
  }
  return all;
}

bool is_listening(std::uint16_t port) { return accept_queue(port).has_value(); }

std::vector<Listener> listeners(pid_t pid) {
  std::map<std::string, int> sockets;  // the lowest descriptor of each
  each_entry(proc(pid) / "fd", [&](const std::filesystem::path& path) {
    std::error_code gone;
    const std::string link = std::filesystem::read_symlink(path, gone).string();
    if (!link.starts_with("socket:")) return;
    const int fd = std::stoi(path.filename());
    const auto [socket, is_new] = sockets.emplace(link, fd);
    if (!is_new) socket->second = std::min(socket->second, fd);
  });
  if (sockets.empty()) return {};
  std::map<int, Listener> found;
  for (const Row& row : sockets_in(1U << listen_state)) {
    const auto socket = sockets.find("socket:[" + std::to_string(row.inode) + "]");
    if (socket != sockets.end()) found.emplace(socket->second, listener_of(row, pid));
  }
  std::vector<Listener> all;
  for (const auto& [fd, listener] : found) all.push_back(listener);
  return all;
}

namespace {

// All processes that run, by who has started them. (The kernel has a file of each one's children;
// that is exact only while they are stopped.)
std::multimap<pid_t, pid_t> by_parent() {
  std::multimap<pid_t, pid_t> all;
  each_entry("/proc", [&](const std::filesystem::path& folder) {
    const std::string name = folder.filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) return;
    // "7 (name) S 1 ...": who has ended, and is only to be reaped, is left out
    const std::string stat = read_file(folder / "stat");
    const std::size_t name_end = stat.rfind(") ");
    if (name_end != std::string::npos && stat[name_end + 2] != 'Z')
      all.emplace(std::atoi(stat.c_str() + name_end + 4), std::stoi(name));
  });
  return all;
}

}  // namespace

std::vector<pid_t> children(pid_t pid) {
  const auto all = by_parent();
  std::vector<pid_t> found;
  const auto [first, last] = all.equal_range(pid);
  for (auto child = first; child != last; ++child) found.push_back(child->second);
  return found;
}

std::vector<pid_t> family(pid_t pid) {
  const auto all = by_parent();
  std::vector<pid_t> members{pid};
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto [first, last] = all.equal_range(members[i]);
    for (auto child = first; child != last; ++child) members.push_back(child->second);
  }
  return members;
}

std::string process_name(pid_t pid) {
  std::string name = read_file(proc(pid) / "comm");
  if (name.ends_with('\n')) name.pop_back();
  return std::to_string(pid) + " (" + name + ')';
}

int thread_count(pid_t pid) { return static_cast<int>(status_number(pid, "Threads:")); }

std::size_t memory_size(pid_t pid) {
  return static_cast<std::size_t>(status_number(pid, "VmSize:")) * 1024;
}

std::size_t resident_size(pid_t pid) {
  return static_cast<std::size_t>(status_number(pid, "VmRSS:")) * 1024;
}

int peak_memory(pid_t pid) { return static_cast<int>(status_number(pid, "VmHWM:")); }

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
  // Also of threads that have ended: fields 14 and 15, of which the name is the second.
  const std::string stat = read_file(proc(pid) / "stat");
  std::istringstream fields(stat.substr(std::min(stat.rfind(") ") + 1, stat.size())));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

char process_state(pid_t pid) { return state_in(proc(pid)); }

bool all_threads_sleep(pid_t pid) {
  bool all = true;
  each_entry(proc(pid) / "task", [&](const auto& task) { all = all && state_in(task) == 'S'; });
  return all;
}

std::vector<Thread> threads(pid_t pid) {
  std::vector<Thread> all;
  each_entry(proc(pid) / "task", [&](const std::filesystem::path& task) {
    Thread thread{std::stoi(task.filename()), read_file(task / "comm"), state_in(task)};
    if (thread.name.ends_with('\n')) thread.name.pop_back();
    const std::string call = read_file(task / "syscall");  // "running", or "230 0x0 0x0 ..."
    std::from_chars(call.data(), call.data() + call.size(), thread.call);
    if (thread.state != '?') all.push_back(std::move(thread));
  });
  // Ids begin again at 1 some day, so the lowest one need not be the oldest.
  std::ranges::sort(all, {},
                    [&](const Thread& thread) { return std::pair(thread.id != pid, thread.id); });
  return all;
}
