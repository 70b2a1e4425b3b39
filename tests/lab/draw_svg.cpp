#include "picture.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

using namespace std::chrono_literals;

// Attributes and plain shapes only: no style sheet, no <use>, no pattern, no stroke around letters.
// Each of these is read by one program and not by the next.

namespace {

using std::to_string;

constexpr int svg_width = 960;
constexpr int svg_height = 540;  // 16:9, as a slide
constexpr int left = 110;
constexpr int right = 690;
constexpr int top = 56;
constexpr int bottom = 480;  // of the panels
constexpr int smallest_row = 20;
constexpr int largest_row = 26;

struct Colours {
  std::string_view paper, ink, pale, served, queued, kernel, good, bad, neutral;
};

constexpr Colours colours(Theme theme) {
  if (theme == Theme::light)
    return {"#ffffff", "#1a1a1a", "#767676", "#0072b2", "#9a6a00",
            "#5a5a5a", "#00664b", "#b03a00", "#666666"};
  return {"#111111", "#eeeeee", "#999999", "#56b4e9", "#e6b03a",
          "#b8b8b8", "#2fc795", "#ff8c50", "#aaaaaa"};
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

class Svg {
 public:
  explicit Svg(Theme theme) : colours_(colours(theme)) {}

  const Colours& colours_of() const { return colours_; }
  const std::string& text() const { return text_; }

  void rect(int x, int y, int width, int height, std::string_view attributes) {
    text_ += "<rect x=\"" + to_string(x) + "\" y=\"" + to_string(y) + "\" width=\"" +
             to_string(width) + "\" height=\"" + to_string(height) + "\" " +
             std::string(attributes) + "/>\n";
  }
  void path(std::string_view d, std::string_view stroke, int width) {
    text_ += "<path d=\"" + std::string(d) + "\" fill=\"none\" stroke=\"" + std::string(stroke) +
             "\" stroke-width=\"" + to_string(width) + "\"/>\n";
  }
  void words(int x, int y, std::string_view text, std::string_view anchor = "start", int size = 14,
             bool bold = false) {
    text_ += "<text x=\"" + to_string(x) + "\" y=\"" + to_string(y) + "\" font-size=\"" +
             to_string(size) + "\" fill=\"" + std::string(colours_.ink) + "\" text-anchor=\"" +
             std::string(anchor) + '"' + (bold ? " font-weight=\"bold\"" : "") + '>' +
             escaped(text) + "</text>\n";
  }

  // A thick bar is served, a hollow one waits in the job queue, a thin line in the kernel's.
  void bar(int from, int to, int y, State state) {
    const int width = std::max(to - from, 1);
    const std::string fill = "fill=\"" + std::string(colours_.served) + '"';
    const std::string hollow =
        "fill=\"none\" stroke=\"" + std::string(colours_.queued) + "\" stroke-width=\"2\"";
    const std::string thin = "fill=\"" + std::string(colours_.kernel) + '"';
    if (state == State::served) rect(from, y - 7, width, 14, fill);
    if (state == State::accepted) rect(from, y - 4, width, 8, hollow);
    if (state == State::in_kernel) rect(from, y - 1, width, 2, thin);
  }

  // A tick, a cross, a dash, two dashes and a stroke: each in its disc.
  void mark(int x, int y, Fate fate) {
    constexpr std::array<std::string_view, 5> signs{
        "m-4 0l3 3l5 -6", "m-4 -2h8m-8 4h8", "m-3 -3l6 6m-6 0l6 -6", "m-4 0h8", "m-3 3l6 -6"};
    const std::string_view colour = fate == Fate::answered ? colours_.good
                                    : fate == Fate::lost   ? colours_.bad
                                                           : colours_.neutral;
    text_ += "<circle cx=\"" + to_string(x) + "\" cy=\"" + to_string(y) + "\" r=\"8\" fill=\"" +
             std::string(colour) + "\"/>\n";
    path("M" + to_string(x) + ' ' + to_string(y) +
             std::string(signs.at(static_cast<std::size_t>(fate))),
         colours_.paper, 2);
  }

 private:
  Colours colours_;
  std::string text_;
};

// From the time of a recording to a place in the picture.
struct Scale {
  Time first;
  Time span;
  int x(Time at) const { return left + static_cast<int>((right - left) * (at - first) / span); }
};

void draw_client(Svg& svg, const Scale& scale, const Recording& recording,
                 const ServerRecord& server, std::size_t client, int y) {
  svg.words(left - 10, y + 5, name(server, client), "end");
  // A batch is drawn as its last one is: who waits longest.
  const ClientRecord& record = server.clients.at(next_row(server, client) - 1);
  const Time seen = record.end ? record.end->at : recording.now;
  for (auto change = record.changes.begin(); change != record.changes.end(); ++change) {
    const bool last = std::next(change) == record.changes.end();
    const Time to = last ? seen : std::next(change)->at;
    if (to > change->at) svg.bar(scale.x(change->at), scale.x(to), y, change->to);
  }
  if (record.end) svg.mark(scale.x(seen), y, record.end->fate);
  svg.words(right + 24, y + 5, outcome(recording, server, client, recording.now));
}

void draw_axis(Svg& svg, const Scale& scale) {
  svg.path("M" + to_string(left) + ' ' + to_string(bottom) + "H" + to_string(right),
           svg.colours_of().pale, 1);
  Time step = 500ms;
  while (scale.span / step > 8) step *= 2;
  for (Time at{0}; at <= scale.span; at += step)
    svg.words(scale.x(scale.first + at), bottom + 18, seconds(at) + " s", "middle", 12);
}

// The names of the signals, over all panels.
void draw_marks(Svg& svg, const Scale& scale, const Recording& recording) {
  int used = 0;
  for (const Mark& mark : recording.marks) {
    const int x = scale.x(mark.at);
    const int wide = 10 * static_cast<int>(mark.name.size());
    if (x - wide / 2 < used) continue;  // its line is there, for another name there is no room
    svg.words(x, top - 8, mark.name, "middle", 14, true);
    used = x + wide / 2 + 4;
  }
}

// When it ended, or that it has not.
void draw_end(Svg& svg, const Scale& scale, const Recording& recording, const ServerRecord& server,
              int y) {
  if (server.ending) {
    const int x = scale.x(server.ending->at);
    svg.path("M" + to_string(x) + ' ' + to_string(y - 12) + "V" + to_string(y + 2),
             svg.colours_of().ink, 2);
    svg.words(x + 6, y, "end", "start", 12);
  } else if (recording.stop()) {
    svg.words(right, y, "still running", "end", 12);
  }
}

void draw_panel(Svg& svg, const Scale& scale, const Recording& recording,
                const ServerRecord& server, int from, int height) {
  for (const Mark& mark : recording.marks) {
    const std::string place = to_string(scale.x(mark.at)) + ' ' + to_string(from + 22);
    svg.path("M" + place + "V" + to_string(from + height - 4), svg.colours_of().ink, 2);
  }
  svg.words(12, from + 14, server.name + ": " + summary(server, recording.now), "start", 14, true);
  int rows = 0;
  for (std::size_t i = 0; i < server.clients.size(); i = next_row(server, i)) ++rows;
  draw_end(svg, scale, recording, server, from + height - 6);
  const int room = height - 46;
  const int row = std::clamp(room / std::max(rows, 1), smallest_row, largest_row);
  int y = from + 12;
  for (std::size_t i = 0; i < server.clients.size(); i = next_row(server, i)) {
    y += row;
    if (y > from + height - 26) {
      svg.words(left, y + 5, "and " + to_string(server.clients.size() - i) + " more");
      break;
    }
    draw_client(svg, scale, recording, server, i, y);
  }
}

void draw_legend(Svg& svg, const Recording& recording) {
  int x = left;
  const int y = svg_height - 20;
  const auto add = [&](std::string_view meaning) {
    svg.words(x + 30, y + 5, meaning);
    x += 48 + 8 * static_cast<int>(meaning.size());
  };
  for (const State state : {State::served, State::accepted, State::in_kernel}) {
    if (!has(recording, state)) continue;
    svg.bar(x, x + 24, y, state);
    add(meaning(recording, state));
  }
  for (const Fate fate :
       {Fate::answered, Fate::lost, Fate::refused, Fate::turned_away, Fate::left}) {
    if (!has(recording, fate)) continue;
    svg.mark(x + 14, y, fate);
    add(meaning(fate));
  }
}

// For who hears the figure instead of seeing it.
std::string description(const Recording& recording) {
  std::string text;
  for (const ServerRecord& server : recording.servers) {
    text += server.name + ": " + summary(server, recording.now) + '.';
    for (std::size_t i = 0; i < server.clients.size(); i = next_row(server, i))
      text += ' ' + name(server, i) + ": " + outcome(recording, server, i, recording.now) + '.';
    text += '\n';
  }
  return text;
}

}  // namespace

std::string draw_svg(const Recording& recording, Theme theme) {
  Svg svg(theme);
  const std::string title =
      recording.title.empty() ? "What was played in the lab" : heading(recording);
  const Scale scale{begin(recording), std::max(end(recording) - begin(recording), Time(1))};
  svg.rect(0, 0, svg_width, svg_height, "fill=\"" + std::string(svg.colours_of().paper) + '"');
  svg.words(12, 26, title, "start", 18, true);
  draw_marks(svg, scale, recording);
  const int servers = static_cast<int>(std::max<std::size_t>(recording.servers.size(), 1));
  const int height = (bottom - top) / servers;
  int begins = top;
  for (const ServerRecord& server : recording.servers) {
    draw_panel(svg, scale, recording, server, begins, height);
    begins += height;
  }
  draw_axis(svg, scale);
  draw_legend(svg, recording);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + to_string(svg_width) +
         "\" height=\"" + to_string(svg_height) + "\" viewBox=\"0 0 " + to_string(svg_width) + ' ' +
         to_string(svg_height) +
         "\" role=\"img\" aria-labelledby=\"title description\" "
         "font-family=\"sans-serif\">\n<title id=\"title\">" +
         escaped(title) + "</title>\n<desc id=\"description\">" + escaped(description(recording)) +
         "</desc>\n" + svg.text() + "</svg>\n";
}
