#pragma once

#include <string>
#include <string_view>
#include <vector>

// A line of a terminal: characters, each in its ink. It has a width, which escape sequences have
// not.
enum class Ink : char { plain, bold, dim, inferred, cyan, green, red, yellow, magenta };

class Line {
 public:
  Line() = default;
  explicit Line(std::string_view text, Ink ink = Ink::plain) { add(text, ink); }

  Line& add(std::string_view text, Ink ink = Ink::plain);
  Line& add(const Line& other);
  // Blanks, or what is too much cut off, so that it is that wide.
  Line& fit(std::size_t width, char filler = ' ');
  Line& pad_to(std::size_t width);  // blanks only
  // Writes over it from column `at` on.
  Line& put(std::size_t at, std::string_view text, Ink ink = Ink::plain);

  std::size_t width() const { return text_.size(); }
  // With escape sequences (ECMA-48 §8.3.117) if `colour`; nothing behind the last word.
  std::string text(bool colour) const;

 private:
  std::string text_;
  std::vector<Ink> inks_;
};
