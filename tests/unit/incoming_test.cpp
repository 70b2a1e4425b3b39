#include "common/tcp.hpp"
#include "stage4_graceful_shutdown/acceptor.hpp"
#include "stage4_graceful_shutdown/stop_signal.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <optional>
#include <ranges>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/resource.h>

static_assert(std::input_iterator<Incoming::iterator>);
static_assert(std::ranges::input_range<Incoming>);
static_assert(std::ranges::view<Incoming>);
static_assert(!std::ranges::forward_range<Incoming>);
static_assert(std::same_as<std::ranges::range_reference_t<Incoming>, TcpStream&&>);

namespace {

// A source of `left` connections that counts how often it is asked for one: more than `left` + 1
// times would be waiting for a client too many.
struct Source {
  int left;
  int asked = 0;

  Incoming incoming() {
    return Incoming([this]() -> std::optional<TcpStream> {
      ++asked;
      if (left-- <= 0) return std::nullopt;
      return TcpStream(FileDescriptor());
    });
  }
};

int count(auto&& range) {
  int n = 0;
  for (TcpStream stream : range) ++n;
  return n;
}

}  // namespace

TEST_SUITE("incoming") {
  TEST_CASE("take(2) asks for two connections, and not for a third") {
    Source source{10};
    CHECK(count(source.incoming() | std::views::take(2)) == 2);
    CHECK(source.asked == 2);
  }

  TEST_CASE("begin() alone asks for none") {
    Source source{10};
    Incoming incoming = source.incoming();
    incoming.begin();
    CHECK(source.asked == 0);
  }

  TEST_CASE("the range ends with its source, and stays ended") {
    Source source{3};
    Incoming incoming = source.incoming();
    CHECK(count(incoming) == 3);
    CHECK(source.asked == 4);
    CHECK(incoming.begin() == incoming.end());
    CHECK(source.asked == 4);
  }

  TEST_CASE("take() of more than there is ends with the source") {
    Source source{3};
    CHECK(count(source.incoming() | std::views::take(5)) == 3);
  }

  TEST_CASE("an iterator shows and skips connections also if nobody asks whether they are there") {
    Source source{5};
    Incoming incoming = source.incoming();
    std::vector<TcpStream> two;
    std::ranges::copy_n(incoming.begin(), 2, std::back_inserter(two));
    CHECK(two.size() == 2);
    CHECK(source.asked == 2);
    ++ ++incoming.begin();
    CHECK(source.asked == 4);
    const TcpStream third = *incoming.begin();
    CHECK(source.asked == 5);
  }

  TEST_CASE("asking twice whether there is another gives the same one") {
    Source source{2};
    Incoming incoming = source.incoming();
    auto it = incoming.begin();
    CHECK(it != incoming.end());
    CHECK(it != incoming.end());
    CHECK(source.asked == 1);
    ++it;
    CHECK(source.asked == 1);
  }

  TEST_CASE("a listener on port 0 gives the connections in their order") {
    TcpListener listener = TcpListener::bind(0);
    REQUIRE(listener.port() != 0);
    Client first(listener.port(), "first");
    Client second(listener.port(), "second");
    std::vector<std::string> seen;
    for (TcpStream stream : listener.incoming() | std::views::take(2)) {
      std::array<char, 16> buffer;
      wait_readable(stream.fd(), Clock::now() + std::chrono::seconds(10));
      seen.emplace_back(buffer.data(), stream.try_read(buffer).value_or(0));
    }
    CHECK(seen == std::vector<std::string>{"first", "second"});
    CHECK_FALSE(listener.try_accept());
  }

  TEST_CASE("a closed listener refuses, and a taken port is named") {
    TcpListener listener = TcpListener::bind(0);
    const std::uint16_t port = listener.port();
    const std::string reason =
        "cannot listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use";
    CHECK_THROWS_WITH(TcpListener::bind(port), reason.c_str());
    listener.close();
    CHECK_FALSE(Client::connect(port));
  }

  TEST_CASE("waiting ends at the deadline, or when it is interrupted") {
    TcpListener quiet = TcpListener::bind(0);
    TcpListener busy = TcpListener::bind(0);
    const Client client(busy.port());
    const auto later = [] { return Clock::now() + std::chrono::seconds(20); };
    CHECK_FALSE(wait_ready(quiet.fd(), POLLIN, Clock::now() - std::chrono::seconds(1)));
    CHECK_FALSE(wait_readable(quiet.fd(), Clock::now()));
    CHECK_FALSE(wait_readable(quiet.fd(), Clock::now() + std::chrono::milliseconds(20)));
    CHECK_FALSE(wait_readable_unless(quiet.fd(), later(), busy.fd()));
    CHECK(wait_readable(busy.fd(), later()));
    // Whoever sends byte after byte is not waited for once more.
    CHECK_FALSE(wait_readable(busy.fd(), Clock::now() - std::chrono::seconds(1)));
    CHECK(wait_readable_unless(busy.fd(), Clock::time_point::max(), quiet.fd()));
  }

  TEST_CASE("with no descriptor left, accepting is an error, unless it is patient") {
    TcpListener listener = TcpListener::bind(0);
    const Client client(listener.port());
    REQUIRE(wait_readable(listener.fd(), Clock::now() + std::chrono::seconds(10)));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    const auto reason = [](auto accept) {
      try {
        accept();
      } catch (const std::system_error& error) {
        return std::string(error.what());
      }
      return std::string();
    };
    bool accepted = true;
    const std::string patient = reason([&] { accepted = listener.try_accept(true).has_value(); });
    const std::string impatient = reason([&] { listener.try_accept(); });
    const std::string in_loop = reason([&] { ++listener.incoming().begin(); });
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK_FALSE(accepted);
    CHECK(patient.empty());
    CHECK(impatient == "cannot accept: Too many open files");
    CHECK(in_loop == impatient);
    CHECK(listener.try_accept());
  }

  TEST_CASE("a shortage of memory is waited out, any other error is not") {
    for (const int error : {ENOMEM, ENOBUFS, ECONNRESET}) {
      CAPTURE(error);
      const auto begin = Clock::now();
      errno = 0;
      const bool is_short = pause_if_short(error);
      const int left = errno;
      CHECK(left == error);
      CHECK(is_short == (error != ECONNRESET));
      CHECK((Clock::now() - begin > std::chrono::milliseconds(9)) == is_short);
    }
  }

  TEST_CASE("stage 4 may rest when nobody is there, and not after the stop") {
    stop_signal::install();
    GracePeriod grace(std::chrono::seconds(10));
    TcpListener listener = TcpListener::bind(0);
    std::optional<Client> client;
    int rests = 0;
    Acceptor acceptor(listener, grace, [&] {
      if (++rests == 1)
        client.emplace(listener.port());
      else
        stop_signal::trip();
    });
    Incoming incoming = acceptor.incoming();
    auto it = incoming.begin();
    CHECK(it != incoming.end());
    ++it;
    CHECK(it == incoming.end());
    CHECK(rests == 2);

    // A deadline that is nearer than the last call stays nearer.
    const auto begin = Clock::now();
    CHECK_FALSE(grace.admit().start()(listener.fd(), begin + std::chrono::milliseconds(5)));
    CHECK(Clock::now() - begin < std::chrono::milliseconds(500));
  }

  TEST_CASE("an acceptor waits for memory, alone and while it lives; then the port is closed") {
    stop_signal::install();
    GracePeriod grace(std::chrono::seconds(10));
    TcpListener listener = TcpListener::bind(0);
    const std::uint16_t port = listener.port();
    {
      const Acceptor acceptor(listener, grace, [] {});
      const std::new_handler handler = std::get_new_handler();
      REQUIRE((handler != nullptr));
      handler();  // returns
      bool fails = false;
      std::thread another([&] {
        try {
          handler();
        } catch (const std::bad_alloc&) {
          fails = true;
        }
      });
      another.join();
      CHECK(fails);
    }
    CHECK((std::get_new_handler() == nullptr));
    CHECK_FALSE(Client::connect(port));
  }
}
