#include "server.hpp"

#include "kernel.hpp"
#include "sanitizers.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ranges>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

bool Subject::knows(std::string_view placeholder) const {
  return std::ranges::any_of(command, [&](const std::string& word) {
    return word.find(placeholder) != std::string::npos;
  });
}

Subject stage_subject(int stage) {
  static const std::array<std::string, 4> binaries{
      BUILD "/stage1_single_thread/stage1",
      BUILD "/stage2_thread_per_request/stage2",
      BUILD "/stage3_pool/stage3",
      BUILD "/stage4_graceful_shutdown/stage4",
  };
  Subject subject;
  subject.command = {binaries.at(static_cast<std::size_t>(stage) - 1), "--port", "{port}",
                     "--sleep-ms", "{sleep}"};
  const std::vector<std::string> pool{"--workers", "{workers}"};
  const std::vector<std::string> stop{"--take", "{take}", "--grace-ms", "{grace}"};
  if (stage >= 3) subject.command.insert(subject.command.end(), pool.begin(), pool.end());
  if (stage >= 4) subject.command.insert(subject.command.end(), stop.begin(), stop.end());
  return subject;
}

std::vector<std::string> command_line(const Subject& subject, const Run& run) {
  const auto number = [](auto value) { return std::to_string(value); };
  const std::array<std::pair<std::string, std::string>, 6> values{{
      {"{port}", number(run.port != 0 ? run.port : subject.port)},
      {"{sleep}", number(run.sleep.value_or(subject.sleep).count())},
      {"{workers}", number(subject.workers)},
      {"{take}", run.take ? number(*run.take) : ""},
      {"{grace}", run.grace ? number(run.grace->count()) : ""},
      {"{html}", subject.html},
  }};
  std::vector<std::string> words;
  for (std::string word : subject.command) {
    bool wanted = true;
    for (const auto& [placeholder, value] : values) {
      const std::size_t at = word.find(placeholder);
      if (at == std::string::npos) continue;
      // "--take {take}" are two words, "--take={take}" is one.
      if (value.empty() && word == placeholder && !words.empty() && words.back().starts_with('-')) {
        words.pop_back();
      }
      wanted = wanted && !value.empty();
      word.replace(at, placeholder.size(), value);
    }
    if (wanted) words.push_back(std::move(word));
  }
  return words;
}

namespace {

// What there is instead of a server that listens for us.
std::string found_instead(pid_t pid, std::uint16_t wanted) {
  std::string found;
  for (const pid_t member : family(pid)) {
    for (const Listener& listener : listeners(member)) {
      found +=
          (found.empty() ? "" : ", ") + process_name(member) + " listens on " + listener.address;
    }
  }
  return "nobody listens on 127.0.0.1" + (wanted == 0 ? "" : ':' + std::to_string(wanted)) +
         " after 10 s; " +
         (found.empty() ? process_name(pid) + " runs, and listens nowhere" : found);
}

}  // namespace

bool Server::find_listener(std::uint16_t wanted, bool in_family) {
  for (const pid_t member : in_family ? processes() : std::vector{pid()}) {
    // Held before it is looked at: its number may soon be another's.
    FileDescriptor held(static_cast<int>(::syscall(SYS_pidfd_open, member, 0)));
    if (held.get() == -1 && errno == ESRCH) continue;
    if (held.get() == -1)
      throw std::system_error(errno, std::generic_category(), "cannot watch a process");
    for (const Listener& listener : listeners(member)) {
      if (!listener.is_for_us || (wanted != 0 && listener.port != wanted)) continue;
      if (held.get() != -1) held_ = std::exchange(held, FileDescriptor());
      listener_ = member;
      if (std::ranges::count(ports_, listener.port) == 0) ports_.push_back(listener.port);
    }
    if (!ports_.empty()) return true;
  }
  return false;
}

Server::Server(const Subject& subject, const Run& run, const Launch& launch)
    : Process(command_line(subject, run), launch) {
  const auto start = Clock::now();
  const std::uint16_t wanted = run.port != 0 ? run.port : subject.port;
  // To look at every process there is takes longer, and most servers are what was started.
  const bool ready = eventually([&] {
    return find_listener(wanted, Clock::now() > start + std::chrono::milliseconds(50)) ||
           !is_running();
  });
  if (ports_.empty()) {
    const std::string why = ready ? " (" + wait_for_exit({})->text() + "): "
                                  : ": " + found_instead(pid(), wanted) + "\n";
    const std::string said = err();
    throw std::runtime_error("the server did not start" + why +
                             (said.empty() && ready ? "it said nothing on stderr" : said));
  }
  // Its time is that of what is judged, and starting is not.
  if (time_limit.load() != Clock::time_point::max())
    time_limit = time_limit.load() + (Clock::now() - start);
  const std::string said = ports_.size() > 1 ? out() : "";
  const auto told = std::ranges::find_if(ports_, [&](std::uint16_t port) {
    return said.find(':' + std::to_string(port)) != std::string::npos;
  });
  if (told != ports_.end()) std::iter_swap(told, ports_.begin());
#ifdef UNDER_TSAN
  // ThreadSanitizer of g++ 12 may lose a signal that interrupts a thread's first blocking call:
  // both make the place where signals wait for the thread (SigCtx() in
  // tsan_interceptors_posix.cpp).
  if (!eventually([&] { return all_threads_sleep(pid()); }))
    throw std::runtime_error("the server did not wait for clients");
#endif
}

void Server::send(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, held_.get(), signal, nullptr, 0) == -1 && errno != ESRCH)
    throw std::system_error(errno, std::generic_category(), "cannot send it a signal");
}

bool Server::freeze() const {
  return std::ranges::all_of(processes(), [](pid_t member) {  // stopped, or gone meanwhile
    ::kill(member, SIGSTOP);
    return eventually([&] { return std::strchr("TZ?", process_state(member)) != nullptr; });
  });
}

void Server::thaw() const {
  const std::vector<pid_t> all = processes();
  for (const pid_t member : all | std::views::reverse) ::kill(member, SIGCONT);
}

std::vector<pid_t> Server::acceptors() const {
  std::vector<pid_t> all = processes();
  std::erase_if(all, [&](pid_t member) {
    return std::ranges::count(listeners(member), port(), &Listener::port) == 0;
  });
  return all;
}

Server::~Server() {
  const pid_t group = listens_by_another() ? ::getpgid(listener_) : -1;
  if (group == -1 || group == pid() || group == ::getpgrp()) return;
  ::kill(-group, SIGKILL);
  pollfd ended{held_.get(), POLLIN, 0};
  ::poll(&ended, 1, 1000);
}
