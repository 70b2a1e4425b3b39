// What the promises rely on to judge.

#include "common/tcp.hpp"
#include "load.hpp"
#include "promises.hpp"
#include "report.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/parallel.hpp"
#include "tests/harness/server.hpp"

#include <csignal>
#include <filesystem>
#include <sstream>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

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

  TEST_CASE("a program that cannot be run, or ends at once, is named") {
    CHECK_THROWS_WITH_AS(Process({"./no-such-program"}),
                         "cannot run ./no-such-program: No such file or directory",
                         std::system_error);
    CHECK_THROWS_WITH_AS(Server({{"sh", "-c", "echo reason >&2; exit 3"}}),
                         "the server did not start (exit 3): reason\n", std::runtime_error);
  }

  TEST_CASE("the end of a process is told as it was") {
    Process exits({"sh", "-c", "exit 7"});
    CHECK(exits.exit_within(10s).with(7));
    Process sleeps({"sleep", "60"});
    CHECK(sleeps.is_running());
    sleeps.send(SIGTERM);
    CHECK(sleeps.exit_within(10s).text() == "ended by SIGTERM");
  }

  TEST_CASE("what a client has sent is unread, also while it is on its way") {
    TcpListener listener = TcpListener::bind(0);
    const Client client(listener.port());
    const std::string piece(64 << 10, 'x');
    const auto send = [&] {
      return ::send(client.socket().get(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    };
    std::size_t sent = 0;  // Nobody reads, so in the end the buffers of both sides are full.
    for (ssize_t size = send(); size > 0; size = send()) sent += static_cast<std::size_t>(size);
    CHECK(eventually([&] { return peers(listener.port())[client.port()].unread == sent; }));
  }

  TEST_CASE("who has an answer does not go on with its request") {
    TcpListener listener = TcpListener::bind(0);
    Client client(listener.port());
    std::optional<TcpStream> stream;
    REQUIRE(eventually([&] { return (stream = listener.try_accept()).has_value(); }));
    stream->write_all("HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(eventually([&] { return !client.peek().bytes.empty(); }));
    CHECK_FALSE(client.has_answer());
    stream->write_all("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    stream->shutdown_write();
    const std::string body(16 << 20, 'x');  // more than all buffers hold
    const auto start = Clock::now();
    CHECK_FALSE(client.send(body));
    CHECK(Clock::now() - start < 10s);  // instead of 15
    CHECK(client.read().text() == "413, whole");
  }

  TEST_CASE("what still runs is an error, that says why") {
    Server server(stage_subject(4));
    std::string said;
    try {
      server.exit_within(1ms);
    } catch (const std::runtime_error& error) {
      said = error.what();
    }
    CAPTURE(said);
    CHECK(said.starts_with("still running after 1 ms\n  main waits for a client on port " +
                           std::to_string(server.port())));
    CHECK(why_it_runs(server.pid(), 2).empty());  // once is enough
  }

  TEST_CASE(
      "the checker's exit status, and what it says: all kept, not all, a mistake, no way to tell") {
    struct Run {
      std::string
          command;  // of a shell, with P for promises, and a server S1, S2 or S4 of that stage
      std::string ending;
      std::string says;
    };
    const std::vector<Run> runs{
        {"P --only 3 -- S1", "exit 0", "+ kept\n"},
        {"P --only 3,11 --json -- S1", "exit 1",
         "\n{\"kept\": 1, \"broken\": 1, \"not_judged\": 0, "},
        {"P --only 12 -- S1", "exit 1", "has no {take}"},
        {"P --only 3,12 -- S1", "exit 0", "Keeps 1 of 2 promises.\n"},
        {"P --only 9,12", "exit 0", "8 of 8 verdicts are as expected.\n"},
        {"P --only 11 --repeat 2 -- S1", "exit 1", "x 0/2\n   run 1: SIGINT"},
        {"P --only 11 --repeat 2 --json -- S1", "exit 1",
         ", \"run\": 1, \"kept\": 0, \"runs\": 2}"},
        {"P --only 18", "exit 2", "from 1 to 17"},
        {"P --what", "exit 2", "unknown argument '--what'"},
        {"P --json -- S1 --what", "exit 2", "{\"error\": \"the server did not"},
        {"P --help", "exit 0", "Usage: promises"},
        {"P --contract", "exit 0", "The contract: "},
        // What is short is ours, and no server's fault.
        {"ulimit -n 60; P --only 3 -- S1", "exit 2", "Too many open files\n"},
        {"TMPDIR=/nowhere P --only 3 -- S1 --html {html}", "exit 2", "no folder for the pages"},
        {"env --ignore-signal=CHLD P --only 11 -- S1", "exit 1", "start 1: ended by SIGINT\n"},
        {"P --time-limit 1 --only 16 -- S4", "exit 1", "the 1 s for all were over\n"},
        {"P --only 4 -- sh -c 'setsid sleep 1000 & exec \"$@\"' sh S4", "exit 0", "now ended: 3\n"},
        {"P --only 4 -- sh -c 'for i in $(seq 1100); do sleep 100 & done; wait'", "exit 2",
         "the server has made more than 1000 processes"},
        // Whose clients are crowded, whose wrapper minds that its child is stopped.
        {"P --only 3 --workers 102 --sleep 1000 -- S2", "exit 1", " threads for 204 clients\n"},
        {"P --only 6 --repeat 5 -- bash -c 'set -m; S4 & wait $!'", "exit 0", "+ 5/5\n"},
        {"P --seed 5 --only 1 -- S4 --html {html}", "exit 0", "To repeat this run: --seed 5\n"},
    };
    const auto filled_in = [](const std::string& command) {
      std::string words;
      std::istringstream all(command);
      for (std::string word; all >> word;) {
        const int stage = word == "S1" ? 1 : word == "S2" ? 2 : word == "S4" ? 4 : 0;
        words += word == "P" ? BUILD "/tests/promises "
                 : stage != 0
                     ? stage_subject(stage).command[0] + " --port {port} --sleep-ms {sleep} "
                     : word + ' ';
      }
      return words;
    };
    std::vector<std::string> endings(runs.size());
    std::vector<std::string> said(runs.size());
    in_parallel(runs.size(), 6, [&](std::size_t i) {
      Process checker({"sh", "-c", filled_in(runs[i].command)}, {.signals_blocked = true});
      const std::optional<Exit> exit = checker.wait_for_exit(60s);
      endings[i] = exit ? exit->text() : "still running";
      said[i] = checker.out() + checker.err();
    });
    for (std::size_t i = 0; i < runs.size(); ++i) {
      CAPTURE(said[i]);
      CHECK(endings[i] == runs[i].ending);
      CHECK(said[i].find(runs[i].says) != std::string::npos);
    }
  }

  TEST_CASE("what a killed judge leaves behind is gone before the next server starts") {
    const std::string file =
        std::filesystem::temp_directory_path() / ("orphan-" + std::to_string(::getpid()));
    // The first start is the look at it, the second kills the judge of promise 2, and the third is
    // not to find what that has left.
    const std::string turns =
        "echo >>\"$0.turns\"; case $(wc -l <\"$0.turns\") in"
        " 2) setsid sleep 1000 & echo $! >\"$0\"; kill -9 $PPID; exec sleep 1000;;"
        " 3) test -e \"/proc/$(cat \"$0\")/cwd\" && exit 3;; esac; exec \"$@\"";
    Process checker({BUILD "/tests/promises", "--only", "2,4", "--", "sh", "-c", turns, file,
                     stage_subject(4).command.front(), "--port", "0", "--sleep-ms", "{sleep}"});
    CHECK(checker.exit_within(20s).with(2));
    const std::string said = checker.out();
    CAPTURE(said);
    CHECK(said.find("its judge was killed") != std::string::npos);
    CHECK(said.find("SIGTERM: 4 of 4 answered, exit 0") != std::string::npos);
    CHECK(said.find("left behind, now ended: ") != std::string::npos);
    std::filesystem::remove(file);
    std::filesystem::remove(file + ".turns");
  }

  TEST_CASE("Ctrl-C ends the checker and its servers, and leaves the verdicts so far") {
    Process checker({BUILD "/tests/promises", "--only", "12,16", "--",
                     stage_subject(4).command.front(), "--port", "{port}"});
    REQUIRE(eventually([&] { return checker.out().find("12 --take 2") < 2000; }, 60s));
    std::vector<pid_t> all;
    REQUIRE(eventually([&] { return (all = family(checker.pid())).size() > 2; }));
    checker.send(SIGINT);
    CHECK(checker.exit_within(10s).with(130));
    CHECK(checker.out().find("Interrupted: the others were not judged.\n") != std::string::npos);
    for (const pid_t pid : all) CHECK((process_state(pid) == '?' || process_state(pid) == 'Z'));
  }

  TEST_CASE("Ctrl-C ends it also while it waits for a server to listen") {
    Process checker({BUILD "/tests/promises", "--", "sh", "-c", "sleep 1000 & wait"});
    std::vector<pid_t> all;
    REQUIRE(eventually([&] { return (all = family(checker.pid())).size() == 4; }));
    checker.send(SIGINT);
    CHECK(checker.exit_within(5s).with(130));
    for (const pid_t pid : all) CHECK((process_state(pid) == '?' || process_state(pid) == 'Z'));
  }

  TEST_CASE("of what a process writes without end, 1 MiB is kept, and no more is needed") {
    Process endless({"yes"});
    CHECK(eventually([&] { return endless.out().size() == 1 << 20; }));
    pause_for(300ms);
    CHECK(endless.out().size() == 1 << 20);
    CHECK(endless.is_running());
  }

  TEST_CASE("a connection that was made is answered or lost, in one of three ways") {
    LoadResult result;
    const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    result.count({Answer::End::closed, whole, {}});
    CHECK(result.is_clean());
    result.count({Answer::End::reset, whole, {}});
    result.count({Answer::End::closed, "", {}});
    result.count({Answer::End::timed_out, "", {}});
    result.undecided = 1000;
    CHECK(result.text() ==
          "3 lost of 4 connections (1 reset, 1 cut, 1 silent), 1,000 undecided, 0 refused late");
    CHECK_FALSE(result.is_clean());
  }

  TEST_CASE("a soak goes on where it ended, and remembers what was lost") {
    const std::string state =
        std::filesystem::temp_directory_path() / ("soak-" + std::to_string(::getpid()));
    for (const std::string stops : {"1", "2"}) {
      Process soak({BUILD "/tests/soak", "--stage", "3", "--stops", stops, "--state", state});
      CHECK(soak.exit_within(15s).with(1));
      CHECK(soak.out().starts_with("Stop " + stops));
      CHECK(soak.out().ends_with("exits other than 0: " + stops + "\n"));
    }
    Process other({BUILD "/tests/soak", "--stage", "4", "--state", state});
    CHECK(other.exit_within(15s).with(2));
    std::filesystem::remove(state);
  }

  TEST_CASE("of several runs, one that is not as expected stands for all") {
    const Promise& promise = promises().back();  // which stage 4 breaks
    std::vector<Task> runs{{.stage = 4, .run = 1, .promise = &promise}, {4, 2, &promise}};
    runs[0].judgement = {Verdict::broken, "as always"};
    runs[1].judgement = {Verdict::not_judged, "no time", Trouble::time};
    CHECK(summed_up(runs).task->run == 2);
  }

  TEST_CASE("the promises are numbered in order, and their titles fit") {
    int number = 0;
    for (const Promise& promise : promises()) {
      CHECK(promise.number == ++number);
      CHECK(promise.title.size() <= 40);
    }
  }
}
