#include "server.hpp"

#include "kernel.hpp"
#include "sanitizers.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

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
  const std::array<std::pair<std::string, std::string>, 5> values{{
      {"{port}", number(run.port != 0 ? run.port : subject.port)},
      {"{sleep}", number(run.sleep.value_or(subject.sleep).count())},
      {"{workers}", number(subject.workers)},
      {"{take}", run.take ? number(*run.take) : ""},
      {"{grace}", run.grace ? number(run.grace->count()) : ""},
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

Server::Server(const Subject& subject, const Run& run, const Launch& launch)
    : Process(command_line(subject, run), launch) {
  std::optional<std::uint16_t> port;
  const bool ready = eventually([&] {
    port = listening_port(pid());
    return port || !is_running();
  });
  if (!port) {
    throw std::runtime_error("the server did not start" +
                             (ready ? " (" + wait_for_exit({})->text() + "): " : ": ") + err());
  }
  port_ = *port;
#ifdef UNDER_TSAN
  // ThreadSanitizer of g++ 12 may lose a signal that interrupts a thread's first blocking call:
  // both make the place where signals wait for the thread (SigCtx() in
  // tsan_interceptors_posix.cpp).
  if (!eventually([&] { return all_threads_sleep(pid()); }))
    throw std::runtime_error("the server did not wait for clients");
#endif
}
