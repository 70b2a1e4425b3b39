// The one reader of answers, by RFC 9110 and 9112.

#include "tests/harness/answer.hpp"

#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"

#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::string_literals;
using State = Reading::State;

enum Method { get, head };

// An answer, after which the server has closed; and what the reader says of it.
struct Row {
  std::string bytes;
  std::string says;  // "200 body", or what is missing or wrong
  Method method = get;
};

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";

std::vector<Row> table() {
  return {
      // A length, spelled in every way that is allowed.
      {ok + "Content-Length: 2\r\n\r\nhi", "200 hi"},
      {ok + "content-length: 2\r\n\r\nhi", "200 hi"},
      {ok + "CONTENT-LENGTH: 2\r\n\r\nhi", "200 hi"},
      {ok + "Content-Length:2\r\n\r\nhi", "200 hi"},
      {ok + "Content-Length: \t 2 \t\r\n\r\nhi", "200 hi"},
      {ok + "Content-Length : 2\r\n\r\nhi", "200 hi"},  // a recipient may take that (RFC 9112 §5.1)
      {ok + "Content-Length: 002\r\n\r\nhi", "200 hi"},
      {ok + "Content-Length: 0\r\n\r\n", "200 "},
      {ok + "Content-Length: 2, 2\r\n\r\nhi", "200 hi"},
      {ok + "Content-Length: 2\r\ncontent-length: 2\r\n\r\nhi", "200 hi"},
      {ok + "Content-Length:\r\n 2\r\n\r\nhi", "200 hi"},  // folded
      {ok + "X-Content-Length: 9\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      {ok + "A: b\r\n\tContent-Length: 9\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      // And in those that are not.
      {ok + "Content-Length: abc\r\n\r\nhi", "Content-Length 'abc' is no number"},
      {ok + "Content-Length: -2\r\n\r\nhi", "Content-Length '-2' is no number"},
      {ok + "Content-Length: +2\r\n\r\nhi", "Content-Length '+2' is no number"},
      {ok + "Content-Length: 0x2\r\n\r\nhi", "Content-Length '0x2' is no number"},
      {ok + "Content-Length: 2 3\r\n\r\nhi", "Content-Length '2 3' is no number"},
      {ok + "Content-Length: 2.0\r\n\r\nhi", "Content-Length '2.0' is no number"},
      {ok + "Content-Length:\r\n\r\nhi", "Content-Length '' is no number"},
      {ok + "Content-Length: ,\r\n\r\nhi", "Content-Length ',' is no number"},
      {ok + "Content-Length: 2, 3\r\n\r\nhi", "Content-Length '2, 3' is no number"},
      {ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
       "Content-Length '2, 3' is no number"},
      {ok + "Content-Length: 99999999999999999999\r\n\r\nhi",
       "Content-Length '99999999999999999999'"},
      {ok + "Content-Length: 9223372036854775807\r\n\r\nhi",
       "9223372036854775805 of 9223372036854775807"},
      {ok + "Content-Length: 3\r\n\r\nhi", "1 of 3 bytes of the body"},
      {ok + "Content-Length: 1\r\n\r\nhi", "goes on after its end"},
      // The end of the connection is the end of the answer.
      {ok + "\r\nhi", "200 hi"},
      {ok + "\r\n", "200 "},
      {"HTTP/1.0 200 OK\r\n\r\nhi", "200 hi"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi", "1 of 3 bytes of the body"},
      {ok + "Transfer-Encoding: gzip\r\n\r\nhi", "200 hi"},
      {ok + "Transfer-Encoding: chunked, gzip\r\n\r\nhi", "200 hi"},
      // Chunks.
      {chunked + "2\r\nhi\r\n0\r\n\r\n", "200 hi"},
      {chunked + "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", "200 hi"},
      {chunked + "0\r\n\r\n", "200 "},
      {chunked + "000\r\n\r\n", "200 "},
      {chunked + "a\r\n0123456789\r\n0\r\n\r\n", "200 0123456789"},
      {chunked + "A\r\n0123456789\r\n0\r\n\r\n", "200 0123456789"},
      {chunked + "0002\r\nhi\r\n0\r\n\r\n", "200 hi"},
      {chunked + "2;a=b;c\r\nhi\r\n0;d\r\n\r\n", "200 hi"},
      {chunked + "2 ;a=\"b\"\r\nhi\r\n0\r\n\r\n", "200 hi"},
      {chunked + "2\r\nhi\r\n0\r\nExpires: never\r\nA: b\r\n\r\n", "200 hi"},
      {chunked + "2\r\n\r\n\r\n0\r\n\r\n", "200 \r\n"},
      {ok + "transfer-encoding:CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "200 hi"},
      {ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "200 hi"},
      {ok + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
       "200 hi"},
      {ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "chunked twice"},
      {ok + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi",
       "both Transfer-Encoding and"},
      {ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
       "both Transfer-Encoding and"},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "Transfer-Encoding in HTTP/1.0"},
      {chunked, "the end of the chunk's size"},
      {chunked + "2\r\nhi\r\n", "the end of the chunk's size"},
      {chunked + "2\r\nhi\r\n0\r\n", "the end of the trailers"},
      {chunked + "2\r\nhi\r\n0\r\nA: b\r\n", "the end of the trailers"},
      {chunked + "5\r\nhi", "3 of 5 bytes of a chunk"},
      {chunked + "1\r\nhi\r\n0\r\n\r\n", "a chunk longer than its size"},
      {chunked + "g\r\nhi\r\n0\r\n\r\n", "no chunk's size: 'g'"},
      {chunked + "\r\nhi\r\n0\r\n\r\n", "no chunk's size: ''"},
      {chunked + "-1\r\nhi\r\n0\r\n\r\n", "no chunk's size: '-1'"},
      {chunked + "0x2\r\nhi\r\n0\r\n\r\n", "no chunk's size: '0x2'"},
      {chunked + "fffffffffffffffff\r\nhi", "no chunk's size: 'fffffffffffffffff'"},
      {chunked + "2\nhi\n0\n\n", "no CRLF at the end of the chunk's size"},
      {chunked + "2\r\nhi\r\n0\r\n\r\n!", "goes on after its end"},
      {chunked + "2\r\nhi\r\n0\r\nno field\r\n\r\n", "no field: 'no field'"},
      // Answers that have no body.
      {ok + "Content-Length: 117\r\n\r\n", "200 ", head},
      {ok + "Transfer-Encoding: chunked\r\n\r\n", "200 ", head},
      {ok + "\r\n", "200 ", head},
      {ok + "Content-Length: 2\r\n\r\nhi", "goes on after its end", head},
      {"HTTP/1.1 204 No Content\r\n\r\n", "204 "},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "204 "},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "304 "},
      {"HTTP/1.1 204 No Content\r\n\r\nhi", "goes on after its end"},
      // Something before it.
      {"HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", "200 hi"},
      {"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nLink: a\r\n\r\n" + ok + "\r\nhi",
       "200 hi"},
      {"HTTP/1.1 100 \r\n\r\nHTTP/1.1 102 \r\n\r\n" + ok + "\r\nhi", "200 hi"},
      {"HTTP/1.1 100 Continue\r\n\r\n", "the status line"},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\nhi", "switches protocols, unasked"},
      // The first line.
      {"HTTP/1.1 404 NOT FOUND\r\nContent-Length: 0\r\n\r\n", "404 "},
      {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "404 "},
      {"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "404 "},
      {"HTTP/1.1  404\tNo\r\nContent-Length: 0\r\n\r\n", "404 "},
      {"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", "200 "},
      {"HTTP/1.1 599 \xe4\xf6\r\nContent-Length: 0\r\n\r\n", "599 "},
      {"HTTP/2.0 200 OK\r\n\r\n", "another HTTP than 1.x: 'HTTP/2.0'"},
      {"HTTP/1 200 OK\r\n\r\n", "no version of HTTP: 'HTTP/1'"},
      {"HTTP/1.1.1 200 OK\r\n\r\n", "no version of HTTP: 'HTTP/1.1.1'"},
      {"HTTP/1.1\r\n\r\n", "no status from 100 to 599: ''"},
      {"HTTP/1.1 20 OK\r\n\r\n", "no status from 100 to 599: '20 OK'"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "no status from 100 to 599: '2000 OK'"},
      {"HTTP/1.1 600 OK\r\n\r\n", "no status from 100 to 599: '600 OK'"},
      {"HTTP/1.1 OK\r\n\r\n", "no status from 100 to 599: 'OK'"},
      {"http/1.1 200 OK\r\n\r\n", "no status line: it begins with 'http/1.1"},
      {"\r\n" + ok + "\r\n", "no status line: it begins with '??HTTP"},
      {"<h1>Hello!</h1>", "no status line: it begins with '<h1>Hello!</h1>'"},
      {"H", "the end of the status line"},
      {"", "the status line"},
      // Lines.
      {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "200 hi"},
      {"HTTP/1.1 200 OK\nContent-Length: 2\r\n\nhi", "200 hi"},
      {ok + " folded before any field\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      {ok + "A: \x01\xff\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      {ok + "A:\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      {ok + "A: b\rContent-Length: 2\r\n\r\nhi", "a CR that no LF follows"},
      {ok + "A: "s + '\0' + "\r\n\r\nhi", "a NUL in the head"},
      {ok + "no field\r\n\r\nhi", "a line of the head that is no field: 'no field'"},
      {ok + ": b\r\n\r\nhi", "a line of the head that is no field: ': b'"},
      {ok + "A b: c\r\n\r\nhi", "a line of the head that is no field: 'A b: c'"},
      {ok + "Content-Length: 2\r\n", "the end of the head"},
      {ok + "Content-Le", "the end of the head"},
      {"HTTP/1.1 200 OK", "the end of the status line"},
  };
}

std::string told(const Reading& reading) {
  return reading.state == State::whole ? std::to_string(reading.status) + ' ' + reading.body
                                       : reading.what;
}

}  // namespace

TEST_SUITE("answer") {
  TEST_CASE("answers, and what a client makes of each") {
    const std::vector<Row> rows = table();
    CHECK(rows.size() > 100);
    for (const Row& row : rows) {
      CAPTURE(row.bytes);
      const Reading reading = read_answer(row.bytes, true, row.method == head);
      const std::string said = told(reading);
      if (reading.state == State::whole)
        CHECK(said == row.says);
      else
        CHECK_MESSAGE(said.find(row.says) != std::string::npos, said);
    }
  }

  TEST_CASE("as its bytes come, an answer is unfinished until it is whole, or faulty for good") {
    for (const Row& row : table()) {
      const bool to_head = row.method == head;
      const Reading all = read_answer(row.bytes, false, to_head);
      State before = State::unfinished;
      for (std::size_t size = 0; size < row.bytes.size(); ++size) {
        const State now = read_answer(row.bytes.substr(0, size), false, to_head).state;
        CAPTURE(row.bytes.substr(0, size));
        // Whole, and then more bytes: from then on it is faulty.
        CHECK((now == before || before == State::unfinished || now == State::faulty));
        if (all.state != State::faulty) CHECK(now == State::unfinished);
        before = now;
      }
    }
  }

  TEST_CASE("only the close ends an answer without a length") {
    const std::string text = ok + "\r\nhi";
    CHECK(read_answer(text, true).state == State::whole);
    CHECK(read_answer(text, false).state == State::unfinished);
    CHECK(read_answer(text, false).ends_by_close);
  }

  TEST_CASE("whatever comes, the reader comes to an end") {
    std::mt19937 random(1);
    const std::vector<Row> rows = table();
    const std::array<std::string, 8> words{"\r\n", "\n",      "0\r\n\r\n",     "Content-Length: ",
                                           ": ",   "chunked", "HTTP/1.1 200 ", "99999999"};
    std::size_t whole = 0;
    for (int i = 0; i < 100'000; ++i) {
      std::string bytes = rows[random() % rows.size()].bytes;
      for (unsigned change = random() % 4; change > 0 && !bytes.empty(); --change) {
        const std::size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0:
            bytes[at] = static_cast<char>(random());
            break;
          case 1:
            bytes.insert(at, words[random() % words.size()]);
            break;
          case 2:
            bytes.erase(at, random() % 8);
            break;
          default:
            bytes += rows[random() % rows.size()].bytes;
        }
      }
      const Reading reading = read_answer(bytes, random() % 2 == 0, random() % 4 == 0);
      whole += reading.state == State::whole;
      const bool told_why = reading.state == State::whole || !reading.what.empty();
      CHECK(told_why);
    }
    CHECK(whole > 10'000);
    CHECK(whole < 90'000);
  }

  TEST_CASE("what a client got is told as it was seen") {
    using End = Answer::End;
    const std::string text = ok + "Content-Length: 2\r\n\r\nhi";
    const std::string part = text.substr(0, text.size() - 1);
    const std::string to_close = ok + "\r\nhi";
    const auto says = [](End end, const std::string& bytes) {
      return Answer{end, bytes, {}}.text();
    };
    CHECK(says(End::closed, text) == "200, whole");
    CHECK(says(End::timed_out, text) == "200, whole");
    CHECK(says(End::reset, text) == "200, whole, and then a reset");
    CHECK(says(End::closed, part) == "200, cut off without 1 of 2 bytes of the body");
    CHECK(says(End::timed_out, part) == "200, still without 1 of 2 bytes of the body");
    CHECK(says(End::reset, part) == "reset after 39 bytes");
    CHECK(says(End::closed, to_close) == "200, whole");
    CHECK(says(End::timed_out, to_close).starts_with("200, still without the close that ends it"));
    CHECK(says(End::closed, "HTTP/1") == "cut off without the end of the status line");
    CHECK(says(End::closed, "") == "closed without an answer");
    CHECK(says(End::timed_out, "") == "no answer");
    CHECK(says(End::reset, "") == "reset after 0 bytes");
    CHECK(says(End::closed, text + "!") ==
          "200, but not as HTTP has it: goes on after its end: '!'");
  }

  TEST_CASE("an answer is good if it is whole and nobody destroyed it") {
    using End = Answer::End;
    const std::string text = ok + "Content-Length: 2\r\n\r\nhi";
    CHECK(Answer{End::closed, text, {}}.is_ok());
    CHECK(Answer{End::timed_out, text, {}}.is_ok());
    CHECK(Answer{End::timed_out, text, {}}.is_kept_open());
    CHECK_FALSE(Answer{End::closed, text, {}}.is_kept_open());
    CHECK_FALSE(Answer{End::reset, text, {}}.is_ok());
    CHECK_FALSE(Answer{End::closed, text + "!", {}}.is_ok());
    CHECK_FALSE(Answer{End::closed, "", {}}.is_whole());
    CHECK(Answer{End::closed, text.substr(0, text.size() - 2), {}}.is_whole(true));
  }

  TEST_CASE("the names of a request's fields are spelled as it is asked for") {
    const std::string usual = request("/", "POST", "Content-Length: 1\r\n");
    CHECK(usual ==
          "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n");
    field_names = FieldNames::lower;
    CHECK(request("/") == "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    field_names = FieldNames::upper;
    CHECK(request("/") == "GET / HTTP/1.1\r\nHOST: localhost\r\nCONNECTION: close\r\n\r\n");
    field_names = FieldNames::usual;
  }
}
