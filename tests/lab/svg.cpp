#include "svg.hpp"

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

}  // namespace

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
