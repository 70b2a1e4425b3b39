#include "picture.hpp"

#include <algorithm>
#include <array>

using namespace std::chrono_literals;

namespace {

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

std::string legend(const Recording& recording, std::size_t width) {
  std::vector<std::string> pieces;
  const auto add = [&](Symbol what, std::string_view meaning) {
    pieces.push_back(std::string{what.symbol, ' '}.append(meaning));
  };
  for (const State state : {State::served, State::accepted, State::in_kernel})
    add(symbol(state), meaning(recording, state));
  for (const Fate fate : {Fate::answered, Fate::lost, Fate::refused})
    add(symbol(fate), meaning(fate));
  for (const Fate fate : {Fate::turned_away, Fate::left}) {
    if (has(recording, fate)) add(symbol(fate), meaning(fate));
  }
  return flow(pieces, width);
}

constexpr std::size_t outcome_width = 26;

// Of the column of names.
std::size_t name_width(const Recording& recording) {
  std::size_t width = 11;
  for (const ServerRecord& server : recording.servers) {
    for (std::size_t i = 0; i < server.clients.size(); i = next_row(server, i))
      width = std::max(width, name(server, i).size() + 2);
  }
  return width;
}

// A cell is the smallest of these with which the whole fits into a line.
Time cell_length(Time span, std::size_t width) {
  const auto room = static_cast<int>(width - outcome_width - 2);
  Time length = 100ms;
  for (const Time next : {200ms, 500ms, 1000ms, 2000ms, 5000ms, 10000ms, 60000ms, 600000ms}) {
    if (span / length < room) break;
    length = next;
  }
  return length;
}

Line timeline(const Recording& recording, const ServerRecord& server, std::size_t client,
              Time length) {
  Line line;
  for (Time start = begin(recording); start <= end(recording); start += length) {
    // How things stood in its middle; an end anywhere in it.
    Cell what = cell(server, client, start + length - 1ms, length);
    what.state = cell(server, client, start + length / 2, length).state;
    const bool is_seen = what.fate || start + length / 2 <= recording.now;
    const Symbol sign = is_seen ? symbol(what) : Symbol{' ', Ink::plain};
    line.add({&sign.symbol, 1}, sign.ink);
  }
  return line;
}

// The signals, and the end of the server, each above its moment, or a little right of it; in as
// many lines as they need.
std::vector<Line> marks(const Recording& recording, const ServerRecord& server, Time length) {
  constexpr std::size_t little = 3;
  std::vector<Mark> all = recording.marks;
  if (server.ending) all.push_back({server.ending->at, "end"});
  std::ranges::stable_sort(all, {}, &Mark::at);
  std::vector<Line> lines(1);
  for (const Mark& mark : all) {
    const auto cells = static_cast<std::size_t>((mark.at - begin(recording)) / length);
    const std::size_t at = name_width(recording) + cells;
    const auto free = [](const Line& line) { return line.width() == 0 ? 0 : line.width() + 1; };
    auto line =
        std::ranges::find_if(lines, [&](const Line& used) { return free(used) <= at + little; });
    if (line == lines.end()) line = lines.emplace(line);
    line->put(std::max(at, free(*line)), mark.name);
  }
  return lines;
}

std::string panel(const Recording& recording, const ServerRecord& server, Time length,
                  std::size_t width, bool colour) {
  const std::string rest = ": " + summary(server, recording.now) + ' ';
  const auto print = [&](Line line) { return line.text(colour) + '\n'; };
  std::string text = print(Line(server.name.substr(0, width - rest.size()) + rest).fit(width, '-'));
  for (Line& line : marks(recording, server, length)) text += print(line.fit(width));
  for (std::size_t i = 0; i < server.clients.size(); i = next_row(server, i)) {
    Line line = Line(' ' + name(server, i)).pad_to(name_width(recording));
    line.add(timeline(recording, server, i, length));
    text += print(line.add("  " + outcome(recording, server, i, recording.now)).fit(width));
  }
  for (const auto& [stream, words] : last_words(recording, server))
    text += print(Line(' ' + stream).pad_to(name_width(recording)).add(words).fit(width));
  return server.why.empty() ? text : text + server.why.substr(1) + '\n';
}

}  // namespace

Symbol symbol(State state) {
  constexpr std::array<Symbol, 4> symbols{
      {{' ', Ink::plain}, {':', Ink::dim}, {'.', Ink::dim}, {'=', Ink::cyan}}};
  return symbols.at(static_cast<std::size_t>(state));
}

Symbol symbol(Fate fate) {
  constexpr std::array<Symbol, 5> symbols{{{'#', Ink::green},
                                           {'-', Ink::yellow},
                                           {'x', Ink::red},
                                           {'!', Ink::yellow},
                                           {'R', Ink::magenta}}};
  return symbols.at(static_cast<std::size_t>(fate));
}

Symbol symbol(const Cell& cell) {
  if (cell.fate) return symbol(*cell.fate);
  return symbol(cell.state.value_or(State::connecting));
}

std::string draw_text(const Recording& recording, std::size_t width, bool colour) {
  width -= 1;  // a terminal does odd things after a character in its last column
  const Time length = cell_length(end(recording) - begin(recording), width - name_width(recording));
  const std::string title = heading(recording);
  std::string text = (title.empty() ? "" : title + "; ") + "1 cell = " + seconds(length) + " s\n" +
                     legend(recording, width);
  for (const ServerRecord& server : recording.servers)
    text += panel(recording, server, length, width, colour);
  return text;
}
