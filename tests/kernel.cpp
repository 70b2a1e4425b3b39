#include "kernel.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

#include <unistd.h>

namespace {

struct Row {
  unsigned port = 0;
  unsigned peer_port = 0;
  unsigned state = 0;
  unsigned unread = 0;
  unsigned long inode = 0;
};

constexpr unsigned established = 1;
constexpr unsigned close_wait = 8;
constexpr unsigned listen_state = 10;

// proc(5), /proc/net/tcp, up to the first row for which `go_on` is false.
template <typename GoOn>
void each_row(GoOn go_on) {
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    Row row;
    if (std::sscanf(line.c_str(), "%*u: %*x:%x %*x:%x %x %*x:%x %*x:%*x %*x %*u %*u %lu", &row.port,
                    &row.peer_port, &row.state, &row.unread, &row.inode) == 5 &&
        !go_on(row)) {
      return;
    }
  }
}

// Listening sockets come first: the many others need not be read.
template <typename Matches>
std::optional<std::uint16_t> find_listening(Matches matches) {
  std::optional<std::uint16_t> port;
  each_row([&](const Row& row) {
    if (row.state == listen_state && matches(row)) port = static_cast<std::uint16_t>(row.port);
    return row.state == listen_state && !port;
  });
  return port;
}

std::filesystem::path proc(pid_t pid) {
  return "/proc/" + std::to_string(pid);
}

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

}  // namespace

std::map<std::uint16_t, Peer> peers(std::uint16_t port) {
  std::map<std::uint16_t, Peer> found;
  each_row([&](const Row& row) {
    if (row.port == port && (row.state == established || row.state == close_wait)) {
      found[static_cast<std::uint16_t>(row.peer_port)] = {row.inode != 0, row.unread};
    }
    return true;
  });
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

int thread_count(pid_t pid) {
  int count = 0;
  each_entry(proc(pid) / "task", [&](const auto&) { ++count; });
  return count;
}

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

char process_state(pid_t pid) {
  const std::string stat = read_file(proc(pid) / "stat");
  const std::size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos ? '?' : stat[name_end + 2];
}
