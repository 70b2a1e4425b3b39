#include "answer.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using State = Reading::State;

// Why reading ends before the answer does.
struct Stop {
  State state;
  std::string what;
};

[[noreturn]] void missing(std::string what) { throw Stop{State::unfinished, std::move(what)}; }
[[noreturn]] void fault(std::string what) { throw Stop{State::faulty, std::move(what)}; }

char lower(char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_folded(std::string_view line) { return line.starts_with(' ') || line.starts_with('\t'); }

bool is_digit(char c) { return '0' <= c && c <= '9'; }

// RFC 9110 §5.6.2
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_digit(c) || ('a' <= lower(c) && lower(c) <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The elements of a list (RFC 9110 §5.6.1).
std::vector<std::string_view> elements(std::string_view list) {
  std::vector<std::string_view> found;
  while (true) {
    const std::size_t comma = list.find(',');
    if (const auto one = trim(list.substr(0, comma)); !one.empty()) found.push_back(one);
    if (comma == std::string_view::npos) return found;
    list.remove_prefix(comma + 1);
  }
}

// As much of it as fits into a line, fit to be printed.
std::string quoted(std::string_view text) {
  std::string shown(text.substr(0, 40));
  std::ranges::replace_if(shown, [](char c) { return c < ' ' || c > '~'; }, '?');
  return "'" + shown + (text.size() > 40 ? "...'" : "'");
}

// nullopt: no number, or none that any answer is as long as.
std::optional<std::uint64_t> number(std::string_view digits, int base) {
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  const bool all = end == digits.data() + digits.size() && error == std::errc();
  constexpr auto largest = std::numeric_limits<std::int64_t>::max();
  return all && value <= static_cast<std::uint64_t>(largest) ? std::optional(value) : std::nullopt;
}

class AnswerReader {
 public:
  AnswerReader(std::string_view bytes, bool ended, bool to_head)
      : bytes_(bytes), ended_(ended), to_head_(to_head) {}

  Reading read() {
    try {
      read_heads();
      read_body();
      if (at_ < bytes_.size()) fault("goes on after its end: " + quoted(rest()));
      reading_.state = State::whole;
    } catch (Stop& stop) {
      reading_.state = stop.state;
      reading_.what = std::move(stop.what);
      reading_.body.clear();
    }
    return std::move(reading_);
  }

 private:
  // Up to the next line's end: CRLF, or LF alone, which a recipient may take for one (RFC 9112
  // §2.2).
  std::string_view line(const char* part, bool lf_alone = true) {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) missing(std::string("the end of the ") + part);
    std::string_view text = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    if (text.ends_with('\r'))
      text.remove_suffix(1);
    else if (!lf_alone)
      fault(std::string("no CRLF at the end of the ") + part + " (RFC 9112 §7.1)");
    if (text.find('\r') != std::string_view::npos)
      fault("a CR that no LF follows, in the " + std::string(part) + " (RFC 9112 §2.2)");
    if (text.find('\0') != std::string_view::npos)
      fault("a NUL in the " + std::string(part) + " (RFC 9110 §5.5)");
    return text;
  }

  // Interim answers are read over (RFC 9110 §15.2).
  void read_heads() {
    do {
      read_status_line();
      read_fields();
      if (reading_.status == 101) fault("switches protocols, unasked (RFC 9110 §7.8)");
    } while (reading_.status < 200);
  }

  // RFC 9112 §4: the words may be parted by more than one space, the reason may be missing.
  void read_status_line() {
    reading_.status = 0;
    const std::string_view name = "HTTP/";
    const std::string_view start = bytes_.substr(at_, name.size());
    if (start.empty()) missing("the status line");
    if (!name.starts_with(start)) fault("no status line: it begins with " + quoted(rest()));
    const std::string_view text = line("status line");
    const std::string_view version =
        text.substr(0, std::min(text.find_first_of(" \t"), text.size()));
    const std::string_view words = trim(text.substr(version.size()));
    const std::string_view code =
        words.substr(0, std::min(words.find_first_of(" \t"), words.size()));
    if (version.size() != 8 || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7]))
      fault("no version of HTTP: " + quoted(version) + " (RFC 9112 §2.3)");
    if (version[5] != '1') fault("another HTTP than 1.x: " + quoted(version) + " (RFC 9112 §2.3)");
    if (code.size() != 3 || !std::ranges::all_of(code, is_digit) || code[0] < '1' || code[0] > '5')
      fault("no status from 100 to 599: " + quoted(words) + " (RFC 9110 §15)");
    reading_.status = static_cast<int>(*number(code, 10));
    is_1_0_ = version[7] == '0';
  }

  void read_fields() {
    lengths_.clear();
    codings_.reset();
    std::string* last = nullptr;  // of the values that matter here; folding goes on with it
    while (true) {
      const std::string_view text = line("head");
      if (text.empty()) return;
      if (is_folded(
              text)) {  // §5.2: as one value. Before the first field it is no field at all (§2.2)
        if (last != nullptr) *last += " " + std::string(trim(text));
      } else {
        last = read_field(text);
      }
    }
  }

  // Where its value is kept; nullptr if it is no matter here.
  std::string* read_field(std::string_view text) {
    const std::size_t colon = text.find(':');
    const std::string_view name = trim(text.substr(0, std::min(colon, text.size())));
    if (colon == std::string_view::npos || !is_token(name))
      fault("a line of the head that is no field: " + quoted(text) + " (RFC 9112 §5)");
    const std::string_view value = trim(text.substr(colon + 1));
    if (same_word(name, "Content-Length")) return &lengths_.emplace_back(value);
    if (!same_word(name, "Transfer-Encoding")) return nullptr;
    if (!codings_) return &codings_.emplace(value);
    *codings_ += ", " + std::string(value);
    return &*codings_;
  }

  // RFC 9112 §6.3, rule by rule.
  void read_body() {
    if (to_head_ || reading_.status == 204 || reading_.status == 304) return;
    if (codings_ && !lengths_.empty())
      fault("both Transfer-Encoding and Content-Length (RFC 9112 §6.3)");
    if (codings_ && is_1_0_) fault("Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)");
    if (codings_) {
      const auto codings = elements(*codings_);
      const auto chunked = std::ranges::count_if(
          codings, [](std::string_view coding) { return same_word(coding, "chunked"); });
      if (chunked > 1) fault("chunked twice (RFC 9112 §7.1)");
      return chunked == 1 && same_word(codings.back(), "chunked") ? read_chunks() : read_to_close();
    }
    lengths_.empty() ? read_to_close() : read_length();
  }

  void read_length() {
    std::optional<std::uint64_t> length;
    for (const std::string& field : lengths_) {
      if (elements(field).empty()) length_fault();
      for (const std::string_view one : elements(field)) {
        const auto value = number(one, 10);
        if (!value || (length && *length != *value)) length_fault();
        length = value;
      }
    }
    take(*length, "the body");
  }

  [[noreturn]] void length_fault() {
    std::string all;
    for (const std::string& field : lengths_) all += (all.empty() ? "" : ", ") + field;
    fault("Content-Length " + quoted(all) + " is no number of bytes (RFC 9112 §6.3)");
  }

  // That many bytes, to the body.
  void take(std::uint64_t length, const char* of) {
    const std::string_view there = rest();
    if (there.size() < length)
      missing(std::to_string(length - there.size()) + " of " + std::to_string(length) +
              " bytes of " + of);
    reading_.body += there.substr(0, length);
    at_ += length;
  }

  // RFC 9112 §7.1: extensions and trailers are read over.
  void read_chunks() {
    while (true) {
      const std::string_view text = line("chunk's size", false);
      const std::string_view digits = trim(text.substr(0, std::min(text.find(';'), text.size())));
      const auto size = number(digits, 16);
      if (!size) fault("no chunk's size: " + quoted(text) + " (RFC 9112 §7.1)");
      if (*size == 0) break;
      take(*size, "a chunk");
      if (!line("chunk", false).empty()) fault("a chunk longer than its size (RFC 9112 §7.1)");
    }
    for (std::string_view text = line("trailers"); !text.empty(); text = line("trailers")) {
      if (!is_folded(text)) read_field(text);
    }
  }

  void read_to_close() {
    reading_.ends_by_close = true;
    if (!ended_) missing("the close that ends it: it has no Content-Length");
    take(rest().size(), "the body");
  }

  std::string_view rest() const { return bytes_.substr(at_); }

  std::string_view bytes_;
  bool ended_;
  bool to_head_;
  std::size_t at_ = 0;
  bool is_1_0_ = false;
  std::vector<std::string> lengths_;    // of each field Content-Length
  std::optional<std::string> codings_;  // of all fields Transfer-Encoding
  Reading reading_;
};

}  // namespace

Reading read_answer(std::string_view bytes, bool ended, bool to_head) {
  return AnswerReader(bytes, ended, to_head).read();
}
