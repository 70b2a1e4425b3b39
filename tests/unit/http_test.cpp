#include "common/http.hpp"

#include "tests/harness/doctest.hpp"

#include <cstdlib>
#include <ctime>
#include <random>
#include <thread>
#include <vector>

namespace {

// 200 for a good head, else the status it is refused with.
int status_of(std::string_view head) {
  try {
    parse_head(head);
    return 200;
  } catch (const HttpError& error) {
    return std::stoi(std::string(error.status));
  }
}

int with_line(const std::string& line) { return status_of(line + "\r\nHost: a\r\n\r\n"); }
int with_fields(const std::string& fields) {
  return status_of("GET / HTTP/1.1\r\n" + fields + "\r\n");
}
int with_host(const std::string& host) { return with_fields("Host: " + host + "\r\n"); }
int with_field(const std::string& field) { return with_fields("Host: a\r\n" + field + "\r\n"); }

struct Case {
  std::string text;
  int status;
};

void check_all(int (*judge)(const std::string&), const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    CAPTURE(one.text);
    CHECK(judge(one.text) == one.status);
  }
}

}  // namespace

TEST_SUITE("http") {
  TEST_CASE("the request line, RFC 9112 §3") {
    check_all(with_line, {
                             {"GET / HTTP/1.1", 200},
                             {"GET / HTTP/1.0", 200},
                             {"GET / HTTP/1.2", 200},
                             {"get / HTTP/1.1", 200},  // an unknown method, but a token
                             {"X-Y!~ / HTTP/1.1", 200},
                             {"GET  / HTTP/1.1", 400},
                             {"GET /  HTTP/1.1", 400},
                             {" GET / HTTP/1.1", 400},
                             {"GET / HTTP/1.1 ", 400},
                             {"GET\t/ HTTP/1.1", 400},
                             {"GET /", 400},
                             {"GET", 400},
                             {"/ HTTP/1.1", 400},
                             {"G(T / HTTP/1.1", 400},
                             {"G\xc3\x89T / HTTP/1.1", 400},
                             {"GET / x HTTP/1.1", 400},
                         });
  }

  TEST_CASE("the version, §2.3") {
    check_all(with_line, {
                             {"GET / HTTP/2.0", 505},
                             {"GET / HTTP/0.9", 505},
                             {"GET / HTTP/9.9", 505},
                             {"GET / HTTP/1", 400},
                             {"GET / HTTP/1.10", 400},
                             {"GET / HTTP/a.b", 400},
                             {"GET / HTTP/a.1", 400},
                             {"GET / http/1.1", 400},
                             {"GET / HTTP 1.1", 400},
                             {"GET / HTTP/1_1", 400},
                             {"GET / HTP/1.1", 400},
                         });
    CHECK(status_of("PRI * HTTP/2.0\r\n\r\n") == 505);
    CHECK(status_of("GET / HTTP/1.2\r\n\r\n") == 400);  // it has to name a host, as 1.1 does
  }

  TEST_CASE("the target, §3.2") {
    check_all(with_line, {
                             {"GET /a%20b?c=/?d HTTP/1.1", 200},
                             {"GET //a://b HTTP/1.1", 200},
                             {"GET /@:a HTTP/1.1", 200},
                             {"GET http://a HTTP/1.1", 200},
                             {"GET http://a?b HTTP/1.1", 200},
                             {"GET HTTP://a:80/b HTTP/1.1", 200},
                             {"GET http://[::1]:80/ HTTP/1.1", 200},
                             {"GET ftp://a/b HTTP/1.1", 200},  // well-formed, and not ours: 404
                             {"OPTIONS * HTTP/1.1", 200},
                             {"CONNECT a:443 HTTP/1.1", 200},
                             {"GET * HTTP/1.1", 400},
                             {"GET a HTTP/1.1", 400},
                             {"GET ?a HTTP/1.1", 400},
                             {"GET /a#b HTTP/1.1", 400},
                             {"GET /% HTTP/1.1", 400},
                             {"GET /%2 HTTP/1.1", 400},
                             {"GET /%zz HTTP/1.1", 400},
                             {"GET /%2z HTTP/1.1", 400},
                             {"GET 1://a HTTP/1.1", 400},
                             {"GET /\"a\" HTTP/1.1", 400},
                             {"GET /\x01 HTTP/1.1", 400},
                             {"GET /\xff HTTP/1.1", 400},
                             {"GET http:// HTTP/1.1", 400},
                             {"GET http:///a HTTP/1.1", 400},
                             {"GET http://:80/ HTTP/1.1", 400},
                             {"GET http://u@a/ HTTP/1.1", 400},
                             {"CONNECT a HTTP/1.1", 400},
                             {"CONNECT 1 HTTP/1.1", 400},
                             {"CONNECT a: HTTP/1.1", 400},
                             {"CONNECT :443 HTTP/1.1", 400},
                             {"CONNECT /a HTTP/1.1", 400},
                         });
    CHECK(parse_head("GET http://a/sleep HTTP/1.1\r\nHost: b\r\n\r\n").target == "/sleep");
    CHECK(parse_head("GET HTTP://a/b HTTP/1.1\r\nHost: b\r\n\r\n").target == "/b");
    CHECK(parse_head("GET http://a HTTP/1.1\r\nHost: b\r\n\r\n").target == "/");
    CHECK(parse_head("GET https://a/ HTTP/1.1\r\nHost: b\r\n\r\n").target == "https://a/");
  }

  TEST_CASE("Host, §3.2") {
    check_all(with_host,
              {
                  {"a", 200},        {"", 200},          {" a \t", 200},    {"localhost:7878", 200},
                  {"a:", 200},       {"127.0.0.1", 200}, {"[::1]", 200},    {"[::1]:80", 200},
                  {"a%20b", 200},    {"a_b,c", 200},     {"a b", 400},      {"a/b", 400},
                  {"u@a", 400},      {"a:b", 400},       {"a:80:80", 400},  {"a:-1", 400},
                  {"[::1", 400},     {"[::1]a", 400},    {"[1]", 400},      {"::1", 400},
                  {"http://a", 400}, {"a%2", 400},       {"\xc3\xa4", 400},
              });
    CHECK(with_fields("") == 400);
    CHECK(with_fields("Host: a\r\nhost: a\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 200);
    CHECK(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
  }

  TEST_CASE("fields, §5") {
    check_all(with_field, {
                              {"A: b", 200},
                              {"A:b", 200},
                              {"A:", 200},
                              {"A: \t b \t", 200},
                              {"A: \xe9", 200},
                              {"A!#$%&'*+-.^_`|~9: b", 200},
                              {"A : b", 400},
                              {" A: b", 400},
                              {"A: b\r\n c", 400},
                              {"A: b\r\n\tc", 400},
                              {"A", 400},
                              {": b", 400},
                              {"A(: b", 400},
                              {"\xc3\x84: b", 400},
                              {"A: b\rc", 400},
                              {"A: b\r\r", 400},
                              {std::string("A: b\0c", 6), 400},
                              {"A: \x01", 400},
                              {"A: \x7f", 400},
                          });
    CHECK(status_of("GET / HTTP/1.1\r\n Host: a\r\n\r\n") == 400);
  }

  TEST_CASE("Content-Length and Transfer-Encoding, §6") {
    check_all(with_field, {
                              {"Content-Length: 0", 200},
                              {"content-length: 18446744073709551615", 200},
                              {"Content-Length: 007", 200},
                              {"Content-Length: 18446744073709551616", 400},
                              {"Content-Length: -1", 400},
                              {"Content-Length: +1", 400},
                              {"Content-Length: 1.0", 400},
                              {"Content-Length: 0x1", 400},
                              {"Content-Length: abc", 400},
                              {"Content-Length:", 400},
                              {"Content-Length: 1 1", 400},
                              {"Content-Length: 1, 1", 400},
                              {"Content-Length: 1\r\nContent-Length: 1", 400},
                              {"Content-Length: 1\r\nContent-Length: 2", 400},
                              {"Transfer-Encoding: chunked", 200},
                              {"transfer-encoding: CHUNKED", 200},
                              {"Transfer-Encoding: gzip, chunked", 501},
                              {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501},
                              {"Transfer-Encoding: gzip", 400},
                              {"Transfer-Encoding: chunked, gzip", 400},
                              {"Transfer-Encoding: chunked, chunked", 400},
                              {"Transfer-Encoding: , chunked,", 200},
                              {"Transfer-Encoding: ,", 400},
                              {"Transfer-Encoding: xchunked", 400},
                              {"Transfer-Encoding:", 400},
                              {"Transfer-Encoding: chunked\r\nContent-Length: 1", 400},
                              {"Content-Length: 1\r\nTransfer-Encoding: chunked", 400},
                          });
    CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
    const auto has_body = [](const std::string& field) {
      return parse_head("POST / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n").has_body;
    };
    CHECK(has_body("Content-Length: 1"));
    CHECK(has_body("Transfer-Encoding: chunked"));
    CHECK_FALSE(has_body("Content-Length: 0"));
    CHECK_FALSE(has_body("A: b"));
  }

  TEST_CASE("lines may end with LF, and empty ones come before the request, §2.2") {
    CHECK(status_of("GET / HTTP/1.1\nHost: a\n\n") == 200);
    CHECK(status_of("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
    CHECK(status_of("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
    CHECK(status_of("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
  }

  TEST_CASE("a head ends at its blank line, wherever it is cut") {
    for (const std::string head :
         {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\nGET / HTTP/1.1\nHost: a\n\n",
          "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n"}) {
      CAPTURE(head);
      for (std::size_t size = 0; size < head.size(); ++size)
        CHECK_FALSE(head_length(head.substr(0, size)));
      CHECK(head_length(head) == head.size());
      CHECK(head_length(head + "GET") == head.size());
    }
  }

  TEST_CASE("what does not fit is the target (§3), or the fields") {
    CHECK(too_large("\r\nGET /aaaa") == status::target_too_long);
    CHECK(too_large("GET / HTTP/1.1\r\nA: b") == status::head_too_large);
    CHECK(too_large("\r\n\r\n") == status::head_too_large);
  }

  TEST_CASE("a HEAD request is known by its first line, even if the rest is malformed") {
    CHECK(is_head_request("HEAD / HTTP/1.1\r\n: \r\n\r\n"));
    CHECK(is_head_request("\r\nHEAD x"));
    CHECK_FALSE(is_head_request("HEADER x"));
    CHECK_FALSE(is_head_request("GET / HTTP/1.1"));
  }

  TEST_CASE("random bytes are never more than refused") {
    std::mt19937 random(9112);
    const std::string alphabet = "GET / HTTP/1.1\r\n:Host, chunked-0159[]%@\t\x01\xff";
    for (int i = 0; i < 20000; ++i) {
      std::string head = i % 2 == 0 ? "GET / HTTP/1.1\r\nHost: a\r\n" : "";
      for (auto left = random() % 60; left > 0; --left)
        head += alphabet[random() % alphabet.size()];
      head += "\r\n\r\n";
      const auto length = head_length(head);
      if (!length) continue;  // nothing but empty lines
      const int status = status_of(std::string_view(head).substr(0, *length));
      CHECK((status == 200 || status == 400 || status == 501 || status == 505));
    }
  }

  TEST_CASE("a response says its length, its date, and that it is the last") {
    const std::string response = make_response(status::not_found, "text/plain", "Oops", true);
    CHECK(response.starts_with("HTTP/1.1 404 NOT FOUND\r\n"));
    CHECK(response.find("\r\nContent-Length: 4\r\n") != std::string::npos);
    CHECK(response.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(response.find("\r\nContent-Type: text/plain\r\n") != std::string::npos);
    CHECK(response.ends_with("\r\n\r\nOops"));
    const std::string date = response.substr(response.find("Date: ") + 6, 29);
    CHECK(date.substr(3, 2) == ", ");
    CHECK(date.ends_with(" GMT"));
    const std::string to_head = make_response(status::ok, "text/plain", "Oops", false);
    CHECK(to_head.find("\r\nContent-Length: 4\r\n") != std::string::npos);
    CHECK(to_head.ends_with("\r\n\r\n"));
  }

  TEST_CASE("the date is Greenwich's, wherever the server stands") {
    ::setenv("TZ", "XYZ3", 1);
    ::tzset();
    std::string response;  // by a new thread: the old one keeps its date for a second
    std::thread([&] { response = make_response(status::ok, "text/plain", "", true); }).join();
    ::unsetenv("TZ");
    ::tzset();
    const int hour = std::stoi(response.substr(response.find(" GMT") - 8, 2));
    const std::time_t now = std::time(nullptr);
    CHECK((hour == now / 3600 % 24 || hour == (now - 60) / 3600 % 24));
  }
}
