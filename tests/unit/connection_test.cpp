#include "common/handle_connection.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

const Site site{"Hello!", "Oops!", 0ms};

// The server's side of a new connection, and the client's.
struct Pair {
  TcpListener listener = TcpListener::bind(0);
  Client client{listener.port()};

  TcpStream accept() {
    wait_readable(listener.fd(), Clock::now() + 10s);
    return std::move(*listener.try_accept());
  }
};

}  // namespace

TEST_SUITE("connection") {
  TEST_CASE("what has come by the deadline is still read, and a whole head answered") {
    Pair pair;
    pair.client.send("GET / HTTP/1.1\r\n");
    // The rest arrives just as the time is up.
    const Wait wait = [&](int fd, Clock::time_point) {
      pair.client.send("Host: a\r\n\r\n");
      wait_readable(fd, Clock::now() + 10s);
      return false;
    };
    handle_connection(pair.accept(), site, wait);
    CHECK(pair.client.read().is_ok());
  }

  TEST_CASE("an unfinished head is closed without a word, after one deadline of 5 s") {
    Pair pair;
    std::vector<Clock::time_point> deadlines;
    const auto start = Clock::now();
    const Wait wait = [&](int fd, Clock::time_point deadline) {
      deadlines.push_back(deadline);
      if (deadlines.size() > 4) return false;
      pair.client.send("G");
      wait_readable(fd, Clock::now() + 10s);
      return deadlines.size() != 3;  // with the third, the time is up
    };
    handle_connection(pair.accept(), site, wait);
    // Bytes that come after that are read, since a close with input unread is a reset.
    CHECK(pair.client.read().is_quiet_close());
    REQUIRE(deadlines.size() == 5);
    CHECK(deadlines[0] == deadlines[2]);
    CHECK(deadlines[0] - start >= 5s);
    CHECK(deadlines[0] - start < 6s);
    CHECK(deadlines[4] - start < 3s);
  }

  TEST_CASE("a client that has said nothing is not lingered for") {
    Pair pair;
    int waits = 0;
    handle_connection(pair.accept(), site, [&](int, Clock::time_point) {
      ++waits;
      return false;
    });
    CHECK(waits == 1);
    CHECK(pair.client.read().is_quiet_close());
  }

  TEST_CASE("a plain GET is closed immediately: nothing is waited for") {
    Pair pair;
    pair.client.send(request("/"));
    TcpStream stream = pair.accept();
    wait_readable(stream.fd(), Clock::now() + 10s);
    int waits = 0;
    handle_connection(std::move(stream), site, [&](int, Clock::time_point) {
      ++waits;
      return false;
    });
    CHECK(waits == 0);
    const Answer answer = pair.client.read();
    CHECK(answer.is_ok());
    CHECK(answer.bytes.find("\r\nContent-Type: text/html; charset=utf-8\r\n") != std::string::npos);
  }

  TEST_CASE("a client that sends more than a request may go on: it is lingered for") {
    Pair pair;
    pair.client.send(request("/") + "x");
    TcpStream stream = pair.accept();
    wait_readable(stream.fd(), Clock::now() + 10s);
    int waits = 0;
    handle_connection(std::move(stream), site, [&](int, Clock::time_point) { return ++waits > 9; });
    CHECK(waits == 1);
    CHECK(pair.client.read().is_ok());
  }

  TEST_CASE("and it sees the end of the answer meanwhile") {
    Pair pair;
    pair.client.send(request("/") + "x");
    TcpStream stream = pair.accept();
    wait_readable(stream.fd(), Clock::now() + 10s);
    std::optional<Answer> answer;
    handle_connection(std::move(stream), site, [&](int, Clock::time_point) {
      answer = pair.client.read();
      return false;
    });
    REQUIRE(answer);
    CHECK(answer->is_ok());
    CHECK(answer->end == Answer::End::closed);
  }

  TEST_CASE("a head may have 8,000 bytes") {
    Pair pair;
    pair.client.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(7960, 'x') + "\r\n\r\n");
    handle_connection(pair.accept(), site);
    CHECK(pair.client.read().is_ok());
  }

  TEST_CASE("only GET and HEAD sleep") {
    Pair pair;
    pair.client.send(request("/sleep", "POST"));
    const auto begin = Clock::now();
    handle_connection(pair.accept(), {"Hello!", "Oops!", 2s});
    CHECK(Clock::now() - begin < 1s);
    CHECK(pair.client.read().status() == 404);
  }

  TEST_CASE("a page that turns out to be a folder is an error, and no endless read") {
    char folder[] = "/tmp/pages-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    const std::string page = std::string(folder) + "/hello.html";
    REQUIRE(::mkdir(page.c_str(), 0700) == 0);
    CHECK_THROWS_WITH(load_site(folder, 0ms), ("cannot read " + page + ": Is a directory").c_str());
    ::rmdir(page.c_str());
    ::rmdir(folder);
  }

  TEST_CASE("what is wrong with a request is said in the body, too, and then it is lingered for") {
    Pair pair;
    pair.client.send("x\r\n\r\n");
    TcpStream stream = pair.accept();
    wait_readable(stream.fd(), Clock::now() + 10s);
    int waits = 0;
    handle_connection(std::move(stream), site, [&](int, Clock::time_point) { return ++waits > 9; });
    CHECK(waits == 1);
    const Answer answer = pair.client.read();
    CHECK(answer.status() == 400);
    CHECK(answer.body() == "400 BAD REQUEST\n");
  }

  TEST_CASE("a flood after the deadline is read for a while, and not to its end") {
    constexpr std::size_t endless = 64 << 20;
    Pair pair;
    pair.client.send("x\r\n\r\n");
    std::atomic<std::size_t> sent = 0;
    std::thread flood([&] {
      const std::string block(1 << 18, 'x');
      while (sent < endless && pair.client.send(block)) sent += block.size();
    });
    // The time is up once the flood has begun.
    handle_connection(pair.accept(), site, [&](int, Clock::time_point) {
      while (sent == 0) std::this_thread::yield();
      return false;
    });
    flood.join();
    CHECK(sent < endless);
  }
}
