#include "picture.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Symbol {
  char symbol;
  std::string_view colour;  // of the terminal: SGR parameters (ECMA-48 §8.3.117)
};

constexpr Symbol symbol(State state) {
  switch (state) {
    case State::connecting:
      return {' ', ""};
    case State::in_kernel:
      return {':', "90"};
    case State::accepted:
      return {'.', "90"};
    case State::served:
      break;
  }
  return {'=', "36"};
}

constexpr Symbol symbol(Fate fate) {
  switch (fate) {
    case Fate::answered:
      return {'#', "32"};
    case Fate::lost:
      return {'x', "31"};
    case Fate::refused:
      return {'!', "33"};
    case Fate::left:
      break;
  }
  return {'R', "35"};
}

constexpr Symbol nothing = symbol(State::connecting);

// The pieces in as few lines as they fit into.
std::string flow(const std::vector<std::string>& pieces, std::size_t width) {
  std::string text;
  std::size_t used = 0;
  for (const std::string& piece : pieces) {
    const bool fits = used + 2 + piece.size() <= width;
    if (used > 0) text += fits ? "  " : "\n";
    used = fits && used > 0 ? used + 2 + piece.size() : piece.size();
    text += piece;
  }
  return text + '\n';
}

std::string legend(const Scene& scene, std::size_t width) {
  std::vector<std::string> pieces;
  const auto add = [&](auto what) {
    pieces.push_back(std::string{symbol(what).symbol, ' '}.append(meaning(what)));
  };
  for (const State state : {State::served, State::accepted, State::in_kernel}) add(state);
  for (const Fate fate : {Fate::answered, Fate::lost, Fate::refused}) add(fate);
  if (scene.plot == Plot::rude_client) add(Fate::left);
  return flow(pieces, width);
}

constexpr std::size_t name_width = 11;
constexpr std::size_t outcome_width = 26;

// A cell is the smallest of these with which the whole fits into a line.
Time cell_length(Time span, std::size_t width) {
  const auto room = static_cast<int>(width - name_width - outcome_width - 2);
  Time length = 50ms;
  for (const Time next : {100ms, 200ms, 500ms, 1000ms, 2000ms, 5000ms, 10000ms, 60000ms}) {
    if (span / length < room) break;
    length = next;
  }
  return length;
}

// What one cell shows: an end, if there is one in it, or how things stood in its middle.
Symbol cell(const Recording& recording, const ClientRecord& client, Time start, Time length) {
  if (client.end && client.end->at >= start && client.end->at < start + length)
    return symbol(client.end->fate);
  const Time middle = start + length / 2;
  const std::optional<State> state = client.state(middle);
  return state && middle <= recording.now ? symbol(*state) : nothing;
}

std::string timeline(const Recording& recording, const ClientRecord& client, Time length,
                     bool colour) {
  std::string text;
  std::string_view current;
  for (Time start{0}; start <= span(recording); start += length) {
    const Symbol what = cell(recording, client, start, length);
    if (colour && what.colour != current) {
      text.append("\033[").append(what.colour).append("m");
      current = what.colour;
    }
    text += what.symbol;
  }
  return current.empty() ? text : text + "\033[m";
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

// Nothing behind the last word of a line.
std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

std::string panel(const Recording& recording, const ServerRecord& server, Time length,
                  std::size_t width, bool colour) {
  const std::string rest = ": " + summary(server) + ' ';
  std::string head = server.name.substr(0, width - rest.size()) + rest;
  head.resize(width, '-');
  std::string marker;
  if (recording.happened) {
    marker.assign(name_width + static_cast<std::size_t>(*recording.happened / length), ' ');
    marker += what_happened(recording.scene);
  }
  std::string text = head + '\n' + marker + '\n';
  for (const ClientRecord& client : server.clients) {
    text +=
        trimmed(padded(' ' + client.name, name_width) +
                timeline(recording, client, length, colour) + "  " + outcome(recording, client));
  }
  for (const auto& [stream, words] : output(recording.scene, server))
    text += trimmed((padded(' ' + stream, name_width) + words).substr(0, width));
  return server.why.empty() ? text : text + server.why.substr(1) + '\n';
}

}  // namespace

std::string draw_text(const Recording& recording, std::size_t width, bool colour) {
  width -= 1;  // a terminal does odd things after a character in its last column
  const Time length = cell_length(span(recording), width);
  std::string text = title(recording.scene) + "; 1 cell = " + seconds(length) + " s\n" +
                     legend(recording.scene, width);
  for (const ServerRecord& server : recording.servers)
    text += panel(recording, server, length, width, colour);
  return text;
}
