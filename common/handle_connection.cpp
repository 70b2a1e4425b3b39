#include "handle_connection.hpp"

#include "http.hpp"

#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

constexpr auto head_deadline = 5s;      // for the whole head: a trickle does not extend it
constexpr std::size_t max_head = 8192;  // bytes
constexpr auto linger_deadline = 1s;
constexpr std::size_t max_late_input = 1 << 20;  // bytes

// Uses read(2): a std::ifstream need not set errno, and may hide an error halfway through.
std::string read_file(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() == -1) throw_errno({"cannot read ", path});
  std::string text;
  std::array<char, 4096> part;
  while (true) {
    const ssize_t count = ::read(file.get(), part.data(), part.size());
    if (count == 0) return text;
    if (count > 0) text.append(part.data(), static_cast<std::size_t>(count));
    if (count == -1 && errno != EINTR) throw_errno({"cannot read ", path});
  }
}

// The part of a request that has arrived so far.
struct Received {
  std::array<char, max_head> buffer;
  std::size_t size = 0;

  std::string_view text() const { return {buffer.data(), size}; }
};

// Reads up to the blank line, however the head is split up. Returns nullopt if no whole head
// arrives in time, or at all. Throws HttpError if the head does not fit into the buffer.
std::optional<std::string_view> read_head(TcpStream& stream, Received& received, const Wait& wait) {
  const auto deadline = Clock::now() + head_deadline;
  bool in_time = true;
  while (true) {
    // Read, then wait: what has arrived by the deadline still counts.
    const std::span<char> room = std::span(received.buffer).subspan(received.size);
    const std::optional<std::size_t> count = stream.try_read(room);
    if (count == std::size_t{0}) return std::nullopt;
    received.size += count.value_or(0);
    const std::string_view text = received.text();
    if (const auto length = head_length(text)) return text.substr(0, *length);
    if (count == room.size()) throw HttpError(too_large(text));
    if (!in_time) return std::nullopt;
    in_time = wait(stream.fd(), deadline);
  }
}

std::string answer(const Request& request, const Site& site) {
  const bool get = request.method == "GET" || request.method == "HEAD";
  const bool sleep = get && request.target == "/sleep";
  const bool found = sleep || (get && request.target == "/");
  if (sleep) std::this_thread::sleep_for(site.sleep);
  return make_response(found ? status::ok : status::not_found, "text/html; charset=utf-8",
                       found ? site.hello : site.not_found, request.method != "HEAD");
}

// Closing with unread input makes the kernel send a reset, which can destroy the answer in flight
// (RFC 9112 §9.6). So send a FIN first, and read into `buffer` until the client's FIN arrives.
void discard_input(TcpStream& stream, std::span<char> buffer, const Wait& wait) {
  stream.shutdown_write();
  const auto deadline = Clock::now() + linger_deadline;
  while (wait(stream.fd(), deadline)) {
    if (stream.try_read(buffer) == std::size_t{0}) return;
  }
  // Time is up. Take what has already arrived, but do not let a flood hold the thread.
  for (std::size_t size = 0; size < max_late_input;) {
    const std::size_t count = stream.try_read(buffer).value_or(0);
    if (count == 0) return;
    size += count;
  }
}

}  // namespace

Site load_site(const std::string& html, std::chrono::milliseconds sleep) {
  return {read_file(html + "/hello.html"), read_file(html + "/404.html"), sleep};
}

void handle_connection(TcpStream stream, const Site& site, const Wait& wait) {
  Received received;
  std::string response;
  bool more_input = true;
  try {
    const std::optional<std::string_view> head = read_head(stream, received, wait);
    if (!head) {
      // A client that has sent part of a head may be sending the rest: no reason for a reset.
      if (received.size > 0) discard_input(stream, received.buffer, wait);
      return;
    }
    const Request request = parse_head(*head);
    response = answer(request, site);
    more_input = request.has_body || head->size() < received.size;
  } catch (const HttpError& error) {
    response = make_response(error.status, "text/plain", std::string(error.status) + '\n',
                             !is_head_request(received.text()));
  }
  stream.write_all(response);
  // More may have arrived in the meantime: a /sleep is long.
  more_input = more_input || stream.try_read(received.buffer).value_or(0) > 0;
  if (more_input) discard_input(stream, received.buffer, wait);
}
