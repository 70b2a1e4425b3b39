#include "measurement.hpp"

#include "tests/harness/cli.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace {

using std::to_string;

// In characters; five columns fit into a terminal of 80.
struct Layout {
  std::size_t label;
  std::size_t column;
};
constexpr Layout table_layout{20, 12};
constexpr Layout growth_layout{10, 14};

std::string fixed(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

// About three digits; "-" for what has no ratio.
std::string ratio_text(double ratio) {
  if (std::isnan(ratio)) return "-";
  if (ratio < 0.0995) return fixed(ratio, 3);
  return ratio < 9.995 ? fixed(ratio, 2) : ratio < 99.95 ? fixed(ratio, 1) : with_commas(ratio, 0);
}

std::string times(double ratio) { return (std::isnan(ratio) ? "" : "x") + ratio_text(ratio); }

std::string right(std::string_view text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + std::string(text);
}

// `cell(i)` for each column from `first` on.
template <typename Cell>
std::string line(Layout layout, std::string head, std::size_t first, std::size_t columns,
                 Cell cell) {
  head.resize(layout.label + first * layout.column, ' ');
  for (std::size_t i = first; i < columns; ++i) head += right(cell(i), layout.column);
  return head + '\n';
}

}  // namespace

Spread spread(std::vector<double> values) {
  if (values.empty()) throw std::invalid_argument("nothing was measured");
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {values.front(), median, values.back()};
}

double Series::median(std::size_t subject) const {
  std::vector<double> values;
  for (const std::vector<double>& round : rounds) values.push_back(round.at(subject));
  return spread(values).median;
}

Spread Series::ratio(std::size_t subject) const {
  std::vector<double> ratios;
  for (const std::vector<double>& round : rounds) {
    if (round.at(0) > 0) ratios.push_back(round.at(subject) / round.at(0));
  }
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  return ratios.empty() ? Spread{none, none, none} : spread(ratios);
}

std::string text_table(const std::vector<std::string>& columns, const std::vector<Series>& rows) {
  const auto add = [&](const std::string& head, std::size_t first, auto cell) {
    return line(table_layout, head, first, columns.size(), cell);
  };
  std::string text = add("", 0, [&](std::size_t i) { return columns[i]; });
  for (const Series& row : rows) {
    text +=
        add(row.name, 0, [&](std::size_t i) { return with_commas(row.median(i), row.decimals); });
    text += add("  ratio", 1, [&](std::size_t i) { return times(row.ratio(i).median); });
    text += add("  min-max", 1, [&](std::size_t i) {
      const Spread ratio = row.ratio(i);
      return std::isnan(ratio.lowest) ? ""
                                      : ratio_text(ratio.lowest) + '-' + ratio_text(ratio.highest);
    });
  }
  return text;
}

std::string text_growth(const std::vector<std::string>& columns, const Growth& growth) {
  const auto add = [&](const std::string& head, auto cell) {
    return line(growth_layout, head, 0, columns.size(), cell);
  };
  std::string text =
      growth.name + '\n' + add("  clients", [&](std::size_t i) { return columns[i]; });
  for (std::size_t n = 0; n < growth.clients.size(); ++n) {
    text += add(right(with_commas(growth.clients[n], 0), 9), [&](std::size_t i) {
      const Series& series = growth.at.at(n);
      const std::string value = with_commas(series.median(i), growth.decimals);
      return i == 0 ? value : value + ' ' + times(series.ratio(i).median);
    });
  }
  if (growth.at.size() < 2) return text;
  const Series& before = growth.at[growth.at.size() - 2];
  return text + add("last step", [&](std::size_t i) {
           return times(growth.at.back().median(i) / before.median(i));
         });
}
