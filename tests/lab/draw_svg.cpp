#include "picture.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

using namespace std::chrono_literals;

namespace {

using std::to_string;

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else
      result += c;
  }
  return result;
}

std::string svg_begin(int width, int height, std::string_view title, std::string_view description) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + to_string(width) + ' ' +
         to_string(height) +
         "\" role=\"img\" aria-labelledby=\"title description\" "
         "font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title id=\"title\">" +
         escaped(title) + "</title>\n<desc id=\"description\">" + escaped(description) +
         "</desc>\n";
}

std::string svg_paper() { return "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n"; }

std::string svg_text(int x, int y, std::string_view attributes, std::string_view text) {
  return "<text x=\"" + to_string(x) + "\" y=\"" + to_string(y) + '"' + std::string(attributes) +
         '>' + escaped(text) + "</text>\n";
}

constexpr int svg_width = 760;
constexpr int left = 90;
constexpr int right = 540;
constexpr int row = 22;

int x_of(Time at, Time span) { return left + static_cast<int>((right - left) * at / span); }

std::string bar(int from, int to, int y, State state) {
  constexpr std::array<std::string_view, 4> names{"connecting", "kernel", "queued", "served"};
  return "<rect class=\"" + std::string(names.at(static_cast<std::size_t>(state))) + "\" x=\"" +
         to_string(from) + "\" y=\"" + to_string(y - 7) + "\" width=\"" +
         to_string(std::max(to - from, 1)) + "\" height=\"14\"/>\n";
}

std::string mark(int x, int y, Fate fate) {
  constexpr std::array<std::string_view, 4> names{"answered", "lost", "refused", "left"};
  return "<use href=\"#" + std::string(names.at(static_cast<std::size_t>(fate))) + "\" x=\"" +
         to_string(x) + "\" y=\"" + to_string(y) + "\"/>\n";
}

Time last_seen(const Recording& recording, const ClientRecord& client) {
  return client.end ? client.end->at : recording.now;
}

std::string svg_bars(const Recording& recording, const ClientRecord& client, int y) {
  const Time all = span(recording);
  std::string text;
  for (auto it = client.changes.begin(); it != client.changes.end(); ++it) {
    const bool last = std::next(it) == client.changes.end();
    const Time to = last ? last_seen(recording, client) : std::next(it)->at;
    if (to > it->at) text += bar(x_of(it->at, all), x_of(to, all), y, it->to);
  }
  return text;
}

std::string svg_words(const Recording& recording, const ClientRecord& client, int y) {
  const int x = x_of(last_seen(recording, client), span(recording));
  return svg_text(left - 10, y + 4, " text-anchor=\"end\"", client.name) +
         (client.end ? mark(x, y, client.end->fate) : "") +
         svg_text(x + 14, y + 4, "", outcome(recording, client));
}

std::string svg_axis(Time span, int y) {
  std::string text = "<path class=\"axis\" d=\"M" + to_string(left) + ' ' + to_string(y) + 'H' +
                     to_string(right) + "\"/>\n";
  const Time step = span > 10s ? 5000ms : span > 4s ? 1000ms : 500ms;
  for (Time at{0}; at <= span; at += step) {
    text += svg_text(x_of(at, span), y + 16, " text-anchor=\"middle\" font-size=\"11\"",
                     seconds(at) + " s");
  }
  return text;
}

// The moment it is all about, through all panels.
std::string svg_event(const Recording& recording, int bottom) {
  if (!recording.happened) return "";
  const int x = x_of(*recording.happened, span(recording));
  return "<path class=\"event\" d=\"M" + to_string(x) + " 24V" + to_string(bottom) + "\"/>\n" +
         svg_text(x, 18, " text-anchor=\"middle\" font-weight=\"700\"",
                  what_happened(recording.scene));
}

std::string svg_legend(const Scene& scene, int y) {
  std::string text;
  int x = left;
  const auto add = [&](const std::string& sign, std::string_view meaning) {
    text += sign + svg_text(x + 26, y + 4, "", meaning);
    x += 40 + 8 * static_cast<int>(meaning.size());
  };
  for (const State state : {State::served, State::accepted, State::in_kernel})
    add(bar(x, x + 20, y, state), meaning(state));
  for (const Fate fate : {Fate::answered, Fate::lost, Fate::refused})
    add(mark(x + 12, y, fate), meaning(fate));
  if (scene.plot == Plot::rude_client) add(mark(x + 12, y, Fate::left), meaning(Fate::left));
  return text;
}

// For who hears the figure instead of seeing it.
std::string description(const Recording& recording) {
  std::string text;
  for (const ServerRecord& server : recording.servers) {
    text += server.name + ": " + summary(server) + '.';
    for (const ClientRecord& client : server.clients)
      text += ' ' + client.name + ": " + outcome(recording, client) + '.';
    text += '\n';
  }
  return text;
}

constexpr std::string_view svg_style = R"(<style>
text { fill: #222; stroke: #fff; stroke-width: 3; paint-order: stroke }
.paper { fill: #fff }
.axis { stroke: #888 }
.event { stroke: #222; stroke-width: 2 }
.connecting { fill: none }
.served { fill: #56b4e9; stroke: #0072b2 }
.queued { fill: none; stroke: #777; stroke-dasharray: 4 3 }
.kernel { fill: none; stroke: #777; stroke-dasharray: 1 3 }
.mark { fill: none; stroke: #fff; stroke-width: 2 }
.good { fill: #007a5a }
.bad { fill: #c04a00 }
.neutral { fill: #666 }
@media (prefers-color-scheme: dark) {
text { fill: #eee; stroke: #111 }
.paper { fill: #111 }
.event { stroke: #eee }
}
</style>
<defs>
<g id="answered"><circle class="good" r="8"/><path class="mark" d="M-4 0L-1 3L4 -3"/></g>
<g id="lost"><circle class="bad" r="8"/><path class="mark" d="M-3 -3L3 3M-3 3L3 -3"/></g>
<g id="refused"><circle class="neutral" r="8"/><path class="mark" d="M-4 0H4"/></g>
<g id="left"><circle class="neutral" r="8"/><path class="mark" d="M-3 3L3 -3"/></g>
</defs>
)";

}  // namespace

std::string draw_svg(const Recording& recording) {
  const Scene& scene = recording.scene;
  const Time all = span(recording);
  std::string bars;
  std::string words;
  int y = 34;
  for (const ServerRecord& server : recording.servers) {
    y += 12;
    words += svg_text(12, y, " font-weight=\"700\"", server.name + ": " + summary(server));
    for (const ClientRecord& client : server.clients) {
      y += row;
      bars += svg_bars(recording, client, y);
      words += svg_words(recording, client, y);
    }
    for (const auto& [stream, text] : output(scene, server)) {
      y += row;
      words += svg_text(left - 10, y + 4, " text-anchor=\"end\"", stream) +
               svg_text(left, y + 4, "", text);
    }
    y += 26;
  }
  return svg_begin(svg_width, y + 46, title(scene), description(recording)) +
         std::string(svg_style) + svg_paper() + bars + svg_event(recording, y - 10) + words +
         svg_axis(all, y - 10) + svg_legend(scene, y + 28) + "</svg>\n";
}
