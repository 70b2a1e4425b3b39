// The figure of measurement.hpp.

#include "measurement.hpp"
#include "tests/harness/cli.hpp"
#include "tests/lab/svg.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace {

using std::to_string;

constexpr int figure_width = 760;
constexpr int panel_width = 205;
constexpr int panel_height = 220;
constexpr int panel_top = 60;
constexpr int first_left = 48;
constexpr int panel_step = 242;

// Where values are on paper: both axes are logarithmic, in whole powers of ten upwards.
struct Panel {
  const Growth& growth;
  int left;
  double low;   // log10 of the lowest value shown
  double high;  // and of the highest

  int x(int clients) const {
    return left + static_cast<int>(std::lround(panel_width * std::log2(clients) /
                                               std::log2(growth.clients.back())));
  }
  int y(double value) const {
    const double part = (std::log10(value) - low) / (high - low);
    return panel_top + panel_height - static_cast<int>(std::lround(panel_height * part));
  }
};

Panel make_panel(const Growth& growth, std::size_t subjects, int left) {
  double low = std::log10(growth.at.front().median(0));
  double high = low;
  for (const Series& series : growth.at) {
    for (std::size_t i = 0; i < subjects; ++i) {
      low = std::min(low, std::log10(series.median(i)));
      high = std::max(high, std::log10(series.median(i)));
    }
  }
  return {growth, left, std::floor(low), std::max(std::ceil(high), std::floor(low) + 1)};
}

std::string axes(const Panel& panel) {
  const int bottom = panel_top + panel_height;
  std::string text =
      svg_text(panel.left - 34, panel_top - 14, " font-weight=\"700\"", panel.growth.name);
  for (double power = panel.low; power <= panel.high; ++power) {
    const double value = std::pow(10, power);
    text += "<path class=\"grid\" d=\"M" + to_string(panel.left) + ' ' + to_string(panel.y(value)) +
            'h' + to_string(panel_width) + "\"/>\n" +
            svg_text(panel.left - 6, panel.y(value) + 4, " text-anchor=\"end\" font-size=\"11\"",
                     with_commas(value, std::max(0, static_cast<int>(-power))));
  }
  for (const int clients : panel.growth.clients) {
    text += svg_text(panel.x(clients), bottom + 16, " text-anchor=\"middle\" font-size=\"11\"",
                     with_commas(clients, 0));
  }
  return text +
         svg_text(panel.left + panel_width / 2, bottom + 34, " text-anchor=\"middle\"", "clients");
}

std::string curve(const Panel& panel, std::size_t subject) {
  std::string path;
  std::string marks;
  for (std::size_t n = 0; n < panel.growth.clients.size(); ++n) {
    const std::string x = to_string(panel.x(panel.growth.clients[n]));
    const std::string y = to_string(panel.y(panel.growth.at[n].median(subject)));
    path += (n == 0 ? 'M' : 'L') + x + ' ' + y;
    marks += "<use href=\"#mark" + to_string(subject) + "\" x=\"" + x + "\" y=\"" + y + "\"/>\n";
  }
  return "<path class=\"curve subject" + to_string(subject) + "\" d=\"" + path + "\"/>\n" + marks;
}

// At the ends of the curves, who it is: moved apart where curves end together.
std::string ends(const Panel& panel, std::size_t subjects) {
  std::vector<std::pair<int, std::size_t>> labels;
  for (std::size_t i = 0; i < subjects; ++i)
    labels.emplace_back(panel.y(panel.growth.at.back().median(i)) + 4, i);
  std::ranges::sort(labels);
  std::string text;
  int next = 0;
  for (const auto& [y, subject] : labels) {
    next = std::max(y, next);
    // "stage 4" is 4 here: the legend has the whole names.
    text += svg_text(panel.left + panel_width + 9, next, " font-weight=\"700\"",
                     subject == 0 ? "L" : to_string(subject));
    next += 13;
  }
  return text;
}

std::string legend(const std::vector<std::string>& columns, int y) {
  std::string text;
  int x = first_left;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    text += "<path class=\"curve subject" + to_string(i) + "\" d=\"M" + to_string(x) + ' ' +
            to_string(y) + "h34\"/>\n<use href=\"#mark" + to_string(i) + "\" x=\"" +
            to_string(x + 17) + "\" y=\"" + to_string(y) + "\"/>\n" +
            svg_text(x + 42, y + 4, "", columns[i]);
    x += 130;
  }
  return text;
}

// For who hears the figure instead of seeing it.
std::string description(const std::vector<std::string>& columns,
                        const std::vector<Growth>& panels) {
  std::string text;
  for (const Growth& growth : panels) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      text += growth.name + ", " + columns[i] + ": from " +
              with_commas(growth.at.front().median(i), growth.decimals) + " to " +
              with_commas(growth.at.back().median(i), growth.decimals) + ".\n";
    }
  }
  return text;
}

constexpr std::string_view figure_style = R"(<style>
text { fill: #222; stroke: #fff; stroke-width: 3; paint-order: stroke }
.paper { fill: #fff }
.grid { stroke: #ccc }
.curve { fill: none; stroke-width: 2 }
.subject0 { stroke: #777; stroke-dasharray: 2 3 }
.subject1 { stroke: #c04a00 }
.subject2 { stroke: #9a4a8a; stroke-dasharray: 8 3 }
.subject3 { stroke: #0072b2; stroke-dasharray: 4 2 }
.subject4 { stroke: #007a5a }
.m0 { fill: #777 } .m1 { fill: #c04a00 } .m2 { fill: #9a4a8a } .m3 { fill: #0072b2 } .m4 { fill: #007a5a }
@media (prefers-color-scheme: dark) {
text { fill: #eee; stroke: #111 }
.paper { fill: #111 }
.grid { stroke: #444 }
.subject1 { stroke: #ff9a5a } .subject2 { stroke: #e0a0d0 } .subject3 { stroke: #56b4e9 } .subject4 { stroke: #3cc99a }
.m0 { fill: #aaa } .m1 { fill: #ff9a5a } .m2 { fill: #e0a0d0 } .m3 { fill: #56b4e9 } .m4 { fill: #3cc99a }
}
</style>
<defs>
<g id="mark0"><circle class="m0" r="3"/></g>
<g id="mark1"><path class="m1" d="M-4 -4h8v8h-8z"/></g>
<g id="mark2"><path class="m2" d="M0 -5L5 4H-5z"/></g>
<g id="mark3"><path class="m3" d="M0 -6L6 0L0 6L-6 0z"/></g>
<g id="mark4"><circle class="m4" r="4"/></g>
</defs>
)";

}  // namespace

std::string svg_growth(const std::vector<std::string>& columns, const std::vector<Growth>& panels) {
  std::string content;
  int left = first_left;
  for (const Growth& growth : panels) {
    const Panel panel = make_panel(growth, columns.size(), left);
    content += axes(panel);
    for (std::size_t i = 0; i < columns.size(); ++i) content += curve(panel, i);
    content += ends(panel, columns.size());
    left += panel_step;
  }
  const int bottom = panel_top + panel_height;
  return svg_begin(figure_width, bottom + 86,
                   "How four servers grow with their clients, half of them slow",
                   description(columns, panels)) +
         std::string(figure_style) + svg_paper() + content + legend(columns, bottom + 62) +
         "</svg>\n";
}
