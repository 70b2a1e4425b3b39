#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// As much of HTTP/1.1 (RFC 9112) as a server needs that answers one request a connection.

// What a status line says after the version; the words in capitals, as in the chapter.
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
  std::string target;  // "/sleep"; of the absolute form "http://host/sleep", too
  bool has_body = false;
};

// A request that cannot be answered as asked, and the status that says so.
struct HttpError {
  std::string_view status;
};

// The length in bytes of the request head that `received` begins with, its blank line included;
// nullopt if the blank line has not come yet. Empty lines before the request do not end it (RFC
// 9112 §2.2).
std::optional<std::size_t> head_length(std::string_view received) noexcept;

// Reads a whole head, up to and with its blank line. Throws HttpError: 400 for what RFC 9112 calls
// malformed, 501 for a transfer coding before chunked (§6.1), 505 for a version other than 1.x.
Request parse_head(std::string_view head);

// Does it begin with a HEAD request? Its answer has no body, whatever is wrong with the rest.
bool is_head_request(std::string_view received) noexcept;

// What is said of a head that does not fit: 414 if its first line alone does not (§3), or 431.
std::string_view too_large(std::string_view received) noexcept;

// A whole response. `with_body` is false for the answer to a HEAD, which still has the length the
// body would have (RFC 9110 §9.3.2).
std::string make_response(std::string_view status, std::string_view content_type,
                          std::string_view body, bool with_body);
