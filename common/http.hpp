#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// The part of HTTP/1.1 (RFC 9112) that a server needs to answer one request per connection.

// The status code and reason phrase of a status line, in capitals as in the chapter.
namespace status {
constexpr std::string_view ok = "200 OK";
constexpr std::string_view bad_request = "400 BAD REQUEST";
constexpr std::string_view not_found = "404 NOT FOUND";
constexpr std::string_view target_too_long = "414 URI TOO LONG";
constexpr std::string_view head_too_large = "431 REQUEST HEADER FIELDS TOO LARGE";
constexpr std::string_view not_implemented = "501 NOT IMPLEMENTED";
constexpr std::string_view version_not_supported = "505 HTTP VERSION NOT SUPPORTED";
}  // namespace status

struct Request {
  std::string method;  // "GET"
  std::string target;  // "/sleep", also for the absolute form "http://host/sleep"
  bool has_body = false;
};

// Thrown for a request that cannot be served as asked, with the status that says so.
struct HttpError {
  std::string_view status;
};

// Returns the length in bytes of the head that `received` starts with, including its blank line;
// nullopt if the blank line has not arrived yet. Empty lines before the request do not end it (RFC
// 9112 §2.2).
std::optional<std::size_t> head_length(std::string_view received) noexcept;

// Parses a whole head, including its blank line. Throws HttpError: 400 for what RFC 9112 calls
// malformed, 501 for a transfer coding before chunked (§6.1), 505 for a version other than 1.x.
Request parse_head(std::string_view head);

// Does it begin with a HEAD request? Its answer has no body, even if the rest is malformed.
bool is_head_request(std::string_view received) noexcept;

// The status for a head that does not fit: 414 if its first line alone does not (§3), else 431.
std::string_view too_large(std::string_view received) noexcept;

// Returns a whole response. `with_body` is false for a HEAD, whose answer still has the length the
// body would have (RFC 9110 §9.3.2).
std::string make_response(std::string_view status, std::string_view content_type,
                          std::string_view body, bool with_body);
