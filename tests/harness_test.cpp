// What the promises rely on to judge.

#include "client.hpp"
#include "doctest.hpp"
#include "promises.hpp"
#include "server.hpp"

#include <csignal>

using namespace std::chrono_literals;

TEST_SUITE("harness") {
  TEST_CASE("a command is filled in, and what a run does not use is left out") {
    const Subject subject{
        {"server", "{port}", "--take", "{take}", "--grace-ms={grace}", "-s", "{sleep}"},
        7878,
        5s,
        4};
    CHECK(command_line(subject, {}) == std::vector<std::string>{"server", "7878", "-s", "5000"});
    CHECK(command_line(subject, {.take = 2, .grace = 1s, .sleep = 3s, .port = 1}) ==
          std::vector<std::string>{"server", "1", "--take", "2", "--grace-ms=1000", "-s", "3000"});
  }

  TEST_CASE("an answer is whole with all of its body and an orderly end, and not otherwise") {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    CHECK(Answer{Answer::End::closed, text, {}}.is_ok());
    CHECK_FALSE(Answer{Answer::End::reset, text, {}}.is_whole());
    CHECK_FALSE(Answer{Answer::End::timed_out, text, {}}.is_whole());
    CHECK_FALSE(Answer{Answer::End::closed, text + "!", {}}.is_whole());
    CHECK_FALSE(Answer{Answer::End::closed, text.substr(0, text.size() - 1), {}}.is_whole());
    CHECK_FALSE(Answer{Answer::End::closed, "", {}}.is_whole());
    CHECK(Answer{Answer::End::closed, text.substr(0, text.size() - 2), {}}.is_whole(true));
  }

  TEST_CASE("a program that cannot be run, or ends at once, is named") {
    CHECK_THROWS_WITH_AS(Process({"./no-such-program"}),
                         "cannot run ./no-such-program: No such file or directory",
                         std::system_error);
    CHECK_THROWS_WITH_AS(Server({{"sh", "-c", "echo reason >&2; exit 3"}}),
                         "the server did not start (exit 3): reason\n", std::runtime_error);
  }

  TEST_CASE("the end of a process is told as it was") {
    Process exits({"sh", "-c", "exit 7"});
    CHECK(exits.wait_for_exit(10s)->with(7));
    Process sleeps({"sleep", "60"});
    CHECK(sleeps.is_running());
    sleeps.send(SIGTERM);
    CHECK(sleeps.wait_for_exit(10s)->text() == "ended by SIGTERM");
  }

  TEST_CASE("the checker's exit status: all kept, not all, a mistake") {
    const auto status = [](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), PROMISES);
      Process checker(arguments);
      const std::optional<Exit> exit = checker.wait_for_exit(20s);
      REQUIRE(exit);
      return exit->text();
    };
    const std::string stage1 = stage_subject(1).command.front();
    CHECK(status({"--only", "3", "--", stage1, "--port", "{port}"}) == "exit 0");
    CHECK(status({"--only", "3,11", "--json", "--", stage1, "--port", "{port}"}) == "exit 1");
    CHECK(status({"--only", "12", "--", stage1, "--port", "{port}"}) == "exit 1");  // not judged
    CHECK(status({"--only", "3,12", "--", stage1, "--port", "{port}"}) == "exit 0");
    CHECK(status({"--only", "9,12"}) == "exit 0");  // the four stages, each as expected
    CHECK(status({"--only", "18"}) == "exit 2");
    CHECK(status({"--what"}) == "exit 2");
    CHECK(status({"--", stage1, "--what"}) == "exit 2");
    CHECK(status({"--help"}) == "exit 0");
  }

  TEST_CASE("the promises are numbered in order, and their titles fit") {
    int number = 0;
    for (const Promise& promise : promises()) {
      CHECK(promise.number == ++number);
      CHECK(promise.title.size() <= 40);
    }
  }
}
