#include "http.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <ctime>

#include <arpa/inet.h>

namespace {

void check(bool well_formed) {
  if (!well_formed) throw HttpError(status::bad_request);
}

// Sets of characters. Not from <cctype>, whose answers depend on the locale.
constexpr std::string_view digits = "0123456789";
constexpr std::string_view hex_digits = "0123456789abcdefABCDEF";
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool is_in(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// RFC 9110 §5.6.2
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_in(letters, c) || is_in(digits, c) || is_in("!#$%&'*+-.^_`|~", c);
  });
}

// RFC 3986 §2: unreserved, sub-delims, percent-encoded bytes, and whatever `more` allows.
bool is_uri_text(std::string_view text, std::string_view more) {
  for (; !text.empty(); text.remove_prefix(1)) {
    const char c = text[0];
    const bool plain = is_in(letters, c) || is_in(digits, c) || is_in("-._~!$&'()*+,;=", c);
    const bool encoded =
        c == '%' && text.size() > 2 && is_in(hex_digits, text[1]) && is_in(hex_digits, text[2]);
    if (!plain && !encoded && !is_in(more, c)) return false;
  }
  return true;
}

// uri-host [ ":" port ], RFC 9110 §7.2 and RFC 3986 §3.2.2. May be empty.
bool is_host(std::string_view text) {
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    host_end = text.find(']');
    if (host_end == std::string_view::npos) return false;
    in6_addr address{};
    const std::string ipv6(text.substr(1, host_end - 1));
    if (::inet_pton(AF_INET6, ipv6.c_str(), &address) != 1) return false;
    ++host_end;
  } else {
    host_end = std::min(text.find(':'), text.size());
    if (!is_uri_text(text.substr(0, host_end), "")) return false;
  }
  const std::string_view port = text.substr(host_end);
  return port.empty() || (port[0] == ':' && port.find_first_not_of(digits, 1) == port.npos);
}

// Splits `text` at `separator`: returns what is before, keeps what is after. Malformed without one.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  check(end != std::string_view::npos);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return part;
}

// Takes the next line, without its CR LF or, as RFC 9112 §2.2 allows, lone LF. Refuses control
// bytes, including a bare CR (§2.2, RFC 9110 §5.5), but not tabs, which are white space.
std::string_view take_line(std::string_view& text) {
  std::string_view line = take_until(text, '\n');
  if (line.ends_with('\r')) line.remove_suffix(1);
  check(std::ranges::none_of(line,
                             [](unsigned char c) { return (c < ' ' && c != '\t') || c == 127; }));
  return line;
}

std::string_view trim(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// Parses the four forms of a request target, RFC 9112 §3.2. Returns the path and query, or the
// whole target if it asks for something else ("*", "host:443", another scheme).
std::string_view parse_target(std::string_view method, std::string_view target) {
  if (method == "CONNECT") {
    const std::size_t colon = target.rfind(':');
    check(colon != target.npos && colon > 0 && is_host(target) && is_in(digits, target.back()));
    return target;
  }
  if (method == "OPTIONS" && target == "*") return target;
  if (const std::size_t scheme_end = target.find("://"); scheme_end < target.find('/')) {
    check(is_in(letters, target[0]) && is_uri_text(target, ":/?@[]"));
    if (!equals_ignoring_case(target.substr(0, scheme_end), "http")) return target;
    const std::string_view rest = target.substr(scheme_end + 3);
    const std::size_t host_end = std::min(rest.find_first_of("/?"), rest.size());
    check(host_end > 0 && rest[0] != ':' && is_host(rest.substr(0, host_end)));
    target = host_end < rest.size() ? rest.substr(host_end) : "/";
  } else {
    check(target.starts_with('/'));
  }
  const std::size_t query = std::min(target.find('?'), target.size());
  check(is_uri_text(target.substr(0, query), "/:@") && is_uri_text(target.substr(query), "/:@?"));
  return target;
}

// Returns true for 1.1 and later, false for 1.0.
bool parse_version(std::string_view version) {
  check(version.size() == 8 && version.starts_with("HTTP/") && is_in(digits, version[5]) &&
        version[6] == '.' && is_in(digits, version[7]));
  if (version[5] != '1') throw HttpError(status::version_not_supported);
  return version[7] >= '1';
}

// The header fields that matter to a server that reads no body.
struct Fields {
  int hosts = 0;
  std::optional<std::uint64_t> length;
  std::optional<std::string> codings;  // of all Transfer-Encoding lines, each followed by a comma
};

void parse_field(std::string_view line, Fields& fields) {
  // A token has no white space, so this also refuses "Host : x" (§5.1) and folded lines (§5.2).
  const std::string_view name = take_until(line, ':');
  check(is_token(name));
  const std::string_view value = trim(line);

  if (equals_ignoring_case(name, "Host")) {
    check(is_host(value));
    ++fields.hosts;
  } else if (equals_ignoring_case(name, "Content-Length")) {
    check(!fields.length);
    const char* const end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, fields.length.emplace());
    check(parsed.ec == std::errc() && parsed.ptr == end);
  } else if (equals_ignoring_case(name, "Transfer-Encoding")) {
    fields.codings = fields.codings.value_or("") + std::string(value) + ',';
  }
}

// RFC 9112 §6.1 and §6.3: refuses framing that another server on the path might read differently.
// Ignores empty list elements (RFC 9110 §5.6.1).
void check_framing(const Fields& fields, bool is_1_1) {
  if (!fields.codings) return;
  check(is_1_1 && !fields.length);
  int count = 0;
  bool chunked = false;
  for (std::string_view list = *fields.codings; !list.empty();) {
    const std::string_view coding = trim(take_until(list, ','));
    if (coding.empty()) continue;
    check(!chunked);  // must come last, and only once
    chunked = equals_ignoring_case(coding, "chunked");
    ++count;
  }
  check(chunked);
  if (count > 1) throw HttpError(status::not_implemented);
}

std::string_view without_empty_lines(std::string_view text) {
  while (text.starts_with("\r\n") || text.starts_with('\n'))
    text.remove_prefix(text.find('\n') + 1);
  return text;
}

// Formatted once a second per thread: it takes more instructions than the rest of a response.
std::string_view date_now() {
  thread_local std::time_t shown = -1;
  thread_local std::array<char, 32> text{};
  if (const std::time_t now = std::time(nullptr); now != shown) {
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    shown = now;
  }
  return text.data();
}

}  // namespace

bool is_head_request(std::string_view received) noexcept {
  return without_empty_lines(received).starts_with("HEAD ");
}

std::string_view too_large(std::string_view received) noexcept {
  const std::string_view request = without_empty_lines(received);
  const bool one_line = !request.empty() && request.find('\n') == std::string_view::npos;
  return one_line ? status::target_too_long : status::head_too_large;
}

std::optional<std::size_t> head_length(std::string_view received) noexcept {
  const std::string_view request = without_empty_lines(received);
  for (std::size_t end = request.find('\n'); end != std::string_view::npos;
       end = request.find('\n', end + 1)) {
    const std::string_view rest = request.substr(end + 1);
    if (rest.starts_with('\n')) return received.size() - rest.size() + 1;
    if (rest.starts_with("\r\n")) return received.size() - rest.size() + 2;
  }
  return std::nullopt;
}

Request parse_head(std::string_view head) {
  head = without_empty_lines(head);
  std::string_view line = take_line(head);
  const std::string_view method = take_until(line, ' ');
  const std::string_view target = take_until(line, ' ');
  const bool is_1_1 = parse_version(line);
  check(is_token(method));
  Request request{std::string(method), std::string(parse_target(method, target)), false};

  Fields fields;
  for (line = take_line(head); !line.empty(); line = take_line(head)) parse_field(line, fields);
  check(fields.hosts == 1 || (fields.hosts == 0 && !is_1_1));
  check_framing(fields, is_1_1);
  request.has_body = fields.codings || fields.length.value_or(0) > 0;
  return request;
}

std::string make_response(std::string_view status, std::string_view content_type,
                          std::string_view body, bool with_body) {
  std::string response;
  response.reserve(body.size() + 200);  // or it would reallocate five times
  response.append("HTTP/1.1 ").append(status).append("\r\nDate: ").append(date_now());
  response.append("\r\nContent-Type: ").append(content_type);
  response.append("\r\nContent-Length: ").append(std::to_string(body.size()));
  response.append("\r\nConnection: close\r\n\r\n");
  if (with_body) response += body;
  return response;
}
