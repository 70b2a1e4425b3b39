#include "script.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace {

constexpr std::array<Key, 28> all{{
    {"c", "a client: GET /"},
    {"s", "a slow one: GET /sleep"},
    {"z", "a silent one: sends nothing"},
    {"t", "a trickling one: byte by byte"},
    {"r", "a rude one: /sleep, then a reset"},
    {"b", "50 more like the last one"},
    {"^C", "Ctrl-C: SIGINT to the server"},
    {"S", "SIGSTOP: it is paused"},
    {"C", "SIGCONT: it goes on"},
    {"T", "SIGTERM"},
    {"K", "SIGKILL"},
    {"space", "hold the picture, or go on"},
    {".", "a step on; script: 1/3 of /sleep"},
    {",", "a step back"},
    {"1", "stage 1, from its start"},
    {"2", "stage 2"},
    {"3", "stage 3"},
    {"4", "stage 4"},
    {"0", "your own server, after a stage"},
    {"n", "the next stage"},
    {"a", "restart"},
    {"d", "the stage before it as well"},
    {"w", "apply a wrong turn; 4 removes it"},
    {"l", "play a scene of the lesson"},
    {"+", "restart with a longer /sleep"},
    {"-", "restart with a shorter one"},
    {"v", "save: text, SVG, cast, keys"},
    {"q", "quit; the servers end as well"},
}};

}  // namespace

std::span<const Key> keys() { return all; }

std::string key_of(char byte) {
  if (byte == ' ') return "space";
  if (byte == '\033') return "Esc";
  if (byte >= 1 && byte <= 26) return {'^', static_cast<char>('A' + byte - 1)};
  return byte > ' ' && byte <= '~' ? std::string{byte} : "that one";
}

bool is_key(std::string_view word) {
  return std::ranges::count(all, word, &Key::word) > 0 || word.starts_with("w=");
}

Script parse_script(std::string_view text) {
  Script script;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) {
      if (script.title.empty())
        script.title = line.substr(std::min(line.find_first_not_of("# "), line.size()));
      continue;
    }
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      const bool begins = script.keys.empty() && script.stages.size() < 2;
      if (begins && word.size() == 1 && word >= "1" && word <= "4")
        script.stages.push_back(word.front() - '0');
      else
        script.keys.push_back(word);
    }
  }
  return script;
}
