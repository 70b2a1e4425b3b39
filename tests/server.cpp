#include "server.hpp"

#include "kernel.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

bool Subject::knows(std::string_view placeholder) const {
  return std::ranges::any_of(command, [&](const std::string& word) {
    return word.find(placeholder) != std::string::npos;
  });
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
}
