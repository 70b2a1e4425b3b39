#include "files.hpp"

#include "terminal.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

using namespace std::chrono_literals;

std::string asciicast(const Recording& recording, const Size& size) {
  std::string film = "{\"version\": 2, \"width\": " + std::to_string(size.columns) +
                     ", \"height\": " + std::to_string(size.rows) +
                     ", \"title\": " + json_string(recording.title) + "}\n";
  std::vector<Line> before;
  // Of a long lecture the end of it: to draw it all would take too long while somebody waits.
  const Time first = std::max<Time>(begin(recording), recording.now - 5min);
  for (Time at = first; at <= recording.now; at += 100ms) {
    std::vector<Line> after = draw_desk(recording, at, size, "");
    const std::string change = redraw(before, after, true);
    if (!change.empty())
      film += '[' + seconds(at - first) + ", \"o\", " + json_string(change) + "]\n";
    before = std::move(after);
  }
  return film;
}

void write_file(const std::string& name, const std::string& text) {
  std::ofstream file(name, std::ios::binary);
  if (!(file << text).flush()) throw std::runtime_error("cannot write " + name);
}

std::string read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + name);
  return {std::istreambuf_iterator<char>(file), {}};
}
