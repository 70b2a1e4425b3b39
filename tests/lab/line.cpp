#include "line.hpp"

#include <algorithm>
#include <array>

Line& Line::add(std::string_view text, Ink ink) {
  text_ += text;
  inks_.resize(text_.size(), ink);
  return *this;
}

Line& Line::add(const Line& other) {
  text_ += other.text_;
  inks_.insert(inks_.end(), other.inks_.begin(), other.inks_.end());
  return *this;
}

Line& Line::fit(std::size_t width, char filler) {
  text_.resize(width, filler);
  inks_.resize(width, Ink::plain);
  return *this;
}

Line& Line::pad_to(std::size_t width) { return fit(std::max(width, text_.size())); }

Line& Line::put(std::size_t at, std::string_view text, Ink ink) {
  pad_to(at + text.size());
  std::ranges::copy(text, text_.begin() + static_cast<std::ptrdiff_t>(at));
  std::fill_n(inks_.begin() + static_cast<std::ptrdiff_t>(at), text.size(), ink);
  return *this;
}

std::string Line::text(bool colour) const {
  constexpr std::array<std::string_view, 9> parameters{"0",  "1",  "90", "3;90", "36",
                                                       "32", "31", "33", "35"};
  std::string result;
  Ink current = Ink::plain;
  const std::size_t end = text_.find_last_not_of(' ') + 1;  // 0 if there is nothing else
  for (std::size_t i = 0; i < end; ++i) {
    if (colour && inks_[i] != current) {
      current = inks_[i];
      result += current == Ink::plain ? "\033[m" : "\033[0;";
      if (current != Ink::plain)
        result.append(parameters.at(static_cast<std::size_t>(current))).append("m");
    }
    result += text_[i];
  }
  return current == Ink::plain ? result : result + "\033[m";
}
