#pragma once

#include "line.hpp"
#include "recording.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Pictures of a recording: the same recording, the same picture.

struct Size {
  std::size_t columns = 80;
  std::size_t rows = 24;

  bool operator==(const Size&) const = default;
};

// The servers as they were at that moment, to fill a terminal: the accept queue, the job queue, who
// does what, the clients, what was said. `hint` is the last line. Servers stand side by side if
// there is room for it, or else one above the other, in few words.
std::vector<Line> draw_desk(const Recording& recording, Time at, const Size& size,
                            std::string_view hint);
bool has_room(const Size& size);

// All of it, from the first client to the last: `width` columns (at least 60), plain ASCII;
// `colour` adds escape sequences.
std::string draw_text(const Recording& recording, std::size_t width, bool colour);

// The same as a figure for slides and notes, 16:9, readable without colour.
enum class Theme { light, dark };
std::string draw_svg(const Recording& recording, Theme theme);

// The symbol of a client's line.
struct Symbol {
  char symbol;
  Ink ink;
};
Symbol symbol(State state);
Symbol symbol(Fate fate);
Symbol symbol(const Cell& cell);
