// The lab: its pictures, from events that are made up; what its keys do; then real runs of two
// scenes.

#include "lab.hpp"

#include "files.hpp"
#include "terminal.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <csignal>
#include <sstream>

using namespace std::chrono_literals;

namespace {

// The picture that somebody has looked at and found good. Another one is left where the test runs,
// to be looked at, too.
void check_golden(const std::string& name, const std::string& picture) {
  const bool same = read_file(SOURCE "/tests/lab/golden/" + name) == picture;
  CHECK_MESSAGE(same, "./", name, " is not the picture in tests/lab/golden");
  if (!same) write_file(name, picture);
}

// As wait() would tell it.
Exit ends_by(int signal) { return {signal}; }

ClientRecord client_of(Kind kind, std::vector<Change> changes, std::optional<End> end = {}) {
  ClientRecord record{kind, 1};
  record.changes = std::move(changes);
  record.end = std::move(end);
  return record;
}

// Two servers, and one client of each kind.
Recording made_up() {
  Recording recording{.title = "Ctrl-C with 3 clients", .sleep = 1000ms, .workers = 1};
  recording.now = 3050ms;
  recording.over = true;
  recording.marks = {{800ms, "^C", true}};
  const std::vector<Change> served{{0ms, State::in_kernel}, {10ms, State::served}};
  const std::vector<Change> queued{{0ms, State::in_kernel}, {10ms, State::accepted}};
  const std::vector<Change> unaccepted{{0ms, State::in_kernel}};
  const std::vector<Change> late{{1100ms, State::in_kernel}};
  const auto lost = [](Answer::End end, State last) {
    return make_end(820ms, {end, "", {}}, Kind::slow, last);
  };
  const Doing main{"main", "poll() for a client"};
  const Doing worker{"worker 0", "/sleep", true, false, 0};
  const Snapshot before{AcceptQueue{1, 4096}, 3, 80, {{2, 59}}, {main, worker}, {1}};
  ServerRecord pool{"stage3_pool", 41, 7878, true};
  pool.clients = {client_of(Kind::slow, served, lost(Answer::End::closed, State::served)),
                  client_of(Kind::slow, queued, lost(Answer::End::reset, State::accepted)),
                  client_of(Kind::slow, unaccepted, lost(Answer::End::reset, State::in_kernel)),
                  client_of(Kind::quick, late, End{1100ms, Fate::refused, "refused"})};
  pool.snapshots = {{0ms, before}, {820ms, {}}};
  pool.ending = {820ms, ends_by(SIGINT)};
  ServerRecord graceful{"stage4 & <more>", 42, 7879, true};
  std::vector<Change> then_served = queued;
  then_served.push_back({1010ms, State::served});
  graceful.clients = {client_of(Kind::slow, served, End{1010ms, Fate::answered, "200 OK"}),
                      client_of(Kind::slow, then_served, End{2020ms, Fate::answered, "200 OK"}),
                      client_of(Kind::silent, unaccepted),
                      client_of(Kind::quick, late, End{1100ms, Fate::refused, "refused"})};
  graceful.snapshots = {{0ms, before}};
  graceful.said = {{5ms, false, "Listening on http://127.0.0.1:7879"},
                   {900ms, false, "Worker 0 disconnected; shutting down."},
                   {950ms, true, "  what():  another \"line\""}};
  recording.servers = {pool, graceful};
  return recording;
}

std::string text_of(const std::vector<Line>& lines) {
  std::string text;
  for (const Line& line : lines) text += line.text(false) + '\n';
  return text;
}

// Not by <regex>: it would take longer to compile than all the rest.
std::string without_colours(std::string text) {
  for (std::size_t at = 0; (at = text.find("\033[", at)) != std::string::npos;) {
    const std::size_t end = text.find_first_not_of("0123456789;", at + 2);
    REQUIRE(end != std::string::npos);
    REQUIRE(text[end] == 'm');
    text.erase(at, end + 1 - at);
  }
  return text;
}

Recording play(const std::string& keys, Time sleep) {
  Lab lab({.stages = {3, 4}, .conditions = {.sleep = sleep}});
  lab.play(parse_script("3 4 " + keys));
  while (!lab.is_played()) lab.step({}, 50ms);
  REQUIRE(lab.problems().empty());
  return lab.played().back();
}

std::string ending(const Recording& recording, std::size_t server) {
  const auto& end = recording.servers.at(server).ending;
  return end ? end->exit.text() : "running";
}

// "lost"; "still waiting" if it has no end yet.
std::string fate(const Recording& recording, std::size_t server, std::size_t number) {
  const auto& end = recording.servers.at(server).clients.at(number).end;
  return end ? std::string(meaning(end->fate)) : "still waiting";
}

// Where its request was at the Ctrl-C.
std::string place(const Recording& recording, std::size_t server, std::size_t number) {
  const std::optional<Time> stop = recording.stop();
  REQUIRE_MESSAGE(stop, "nothing has happened");
  const auto state = recording.servers.at(server).clients.at(number).state(*stop);
  return state ? std::string(meaning(recording, *state)) : "nowhere";
}

std::size_t workers_disconnected(const ServerRecord& server) {
  return static_cast<std::size_t>(std::ranges::count_if(server.said, [](const Said& said) {
    return said.line.ends_with(" disconnected; shutting down.");
  }));
}

void check_ctrl_c(const Recording& recording) {
  CHECK(ending(recording, 0) == "ended by SIGINT");
  CHECK(ending(recording, 1) == "exit 0");
  CHECK(workers_disconnected(recording.servers.at(1)) == 4);
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    const std::string there = i < 4 ? "served" : "job queue";
    CHECK(place(recording, 0, i) == there);
    CHECK(fate(recording, 0, i) == "lost");
    CHECK(place(recording, 1, i) == there);
    CHECK(fate(recording, 1, i) == "200 OK");
  }
  CHECK(fate(recording, 0, 6) == "refused");
  CHECK(fate(recording, 1, 6) == "refused");
}

void check_rude_client(const Recording& recording) {
  CHECK(ending(recording, 0) == "ended by SIGABRT");
  CHECK(ending(recording, 1) == "running");
  CHECK(fate(recording, 0, 0) == "reset");
  CHECK(fate(recording, 1, 0) == "reset");
  for (std::size_t i = 1; i < 6; ++i) {
    CAPTURE(i);
    CHECK(fate(recording, 0, i) == "lost");
    CHECK(fate(recording, 1, i) == "200 OK");
  }
  CHECK(fate(recording, 1, 6) == "200 OK");
  // Each standard library words it in another way.
  CHECK(std::ranges::any_of(recording.servers.at(0).said, [](const Said& said) {
    return said.line.find("cannot send: Connection reset by peer") != std::string::npos;
  }));
  CHECK(last_words(recording, recording.servers.at(1))
            .back()
            .second.ends_with("'s job failed: cannot send: Connection reset by peer"));
}

bool has_clients(pid_t server) {
  const std::vector<Listener> found = listeners(server);
  return !found.empty() && !peers(found.front().port).empty();
}

// Or has ended, and whoever adopted it has not noticed yet.
bool is_gone(pid_t pid) {
  const char state = process_state(pid);
  return state == '?' || state == 'Z';
}

// A lab that plays, and the servers it has started.
struct Running {
  Process lab;
  std::vector<pid_t> servers;

  explicit Running(std::vector<std::string> command) : lab(std::move(command)) {
    REQUIRE(eventually([&] {
      servers = children(lab.pid());
      return servers.size() == 2 && std::ranges::all_of(servers, has_clients);
    }));
  }
};

}  // namespace

TEST_SUITE("lab") {
  TEST_CASE("the pictures of events that are made up") {
    check_golden("ctrl_c_80.txt", draw_text(made_up(), 80, false));
    check_golden("ctrl_c_light.svg", draw_svg(made_up(), Theme::light));
    check_golden("ctrl_c_dark.svg", draw_svg(made_up(), Theme::dark));
  }

  TEST_CASE("the desk, of one server and of two, at any moment") {
    const Recording two = made_up();
    Recording one = two;
    one.servers.erase(one.servers.begin());
    std::string text;
    for (const Time at : {500ms, 3050ms}) {
      text += text_of(draw_desk(one, at, {80, 24}, " hint"));
      text += text_of(draw_desk(two, at, {80, 24}, " hint"));
      text += text_of(draw_desk(two, at, {100, 30}, " hint"));
    }
    check_golden("desk.txt", text);
  }

  TEST_CASE("a desk fills the terminal, and goes no further") {
    Recording recording = made_up();
    ServerRecord& server = recording.servers.back();
    server.name = std::string(200, 'n');
    server.said.push_back({950ms, true, std::string(200, 's')});
    server.clients.resize(1000, server.clients.front());
    for (std::size_t i = 0; i < 50; ++i) server.snapshots.front().second.waiting.push_back({i, 59});
    server.snapshots.front().second.threads.resize(
        300, {"worker 7", std::string(100, 'w'), true, false, 0});
    for (const Size size : {Size{80, 24}, Size{100, 30}, Size{237, 61}}) {
      for (std::size_t servers = 1; servers <= 2; ++servers) {
        recording.servers.erase(recording.servers.begin(),
                                recording.servers.end() - static_cast<std::ptrdiff_t>(servers));
        const std::vector<Line> lines = draw_desk(recording, 900ms, size, "hint");
        CHECK(lines.size() == size.rows);
        for (const Line& line : lines) CHECK(line.width() == size.columns);
        recording.servers.resize(2, recording.servers.back());
      }
    }
  }

  TEST_CASE("colours only add escape sequences") {
    const std::string plain = draw_text(made_up(), 80, false);
    const std::string coloured = draw_text(made_up(), 80, true);
    CHECK(coloured.find("\033[0;31mx\033[m") != std::string::npos);
    CHECK(without_colours(coloured) == plain);
    const std::vector<Line> desk = draw_desk(made_up(), 500ms, {80, 24}, "");
    for (const Line& line : desk) CHECK(without_colours(line.text(true)) == line.text(false));
  }

  TEST_CASE("only what has changed is drawn again") {
    const std::vector<Line> before{Line("one"), Line("two"), Line("three")};
    std::vector<Line> after = before;
    CHECK(redraw(before, after, true).empty());
    after[1] = Line("2");
    CHECK(redraw(before, after, true) == "\033[2H\033[K2");
    CHECK(redraw({}, before, false) == "\033[1H\033[Kone\033[2H\033[Ktwo\033[3H\033[Kthree");
  }

  TEST_CASE("a film has its head, and its pictures in the order of time") {
    const std::string film = asciicast(made_up(), {80, 24});
    CHECK(
        film.starts_with("{\"version\": 2, \"width\": 80, \"height\": 24, \"title\": \"Ctrl-C with "
                         "3 clients\"}\n[0, \"o\", \"\\u001b[1H"));
    CHECK(film.find("\n[0.8, \"o\", ") != std::string::npos);
    CHECK(film.find("\n[0.8, ") < film.find("\n[1, "));
  }

  TEST_CASE("no line of the text is wider than the terminal") {
    Recording recording = made_up();
    recording.servers.front().name = std::string(200, 'n');
    recording.servers.front().said = {{1ms, true, std::string(200, 's')}};
    for (const int seconds : {0, 3, 40, 600}) {
      recording.servers.back().clients.front().end->at = std::chrono::seconds(seconds);
      for (const std::size_t width : {60, 80, 100}) {
        std::istringstream lines(draw_text(recording, width, false));
        for (std::string line; std::getline(lines, line);) CHECK(line.size() < width);
      }
    }
  }

  TEST_CASE("a batch is one line, and tells how many came to which end") {
    Recording recording = made_up();
    ServerRecord& server = recording.servers.back();
    server.clients.resize(3);
    server.clients[0].batch = 3;
    server.clients[1].batch = server.clients[2].batch = 0;
    server.clients[2].end = {1500ms, Fate::lost, "reset"};
    const std::string text = draw_text(recording, 80, false);
    CHECK(text.find("\n 1-3 slow") != std::string::npos);
    CHECK(text.find("2 200 OK, 1 lost\n") != std::string::npos);
    CHECK(next_row(server, 0) == 3);
    CHECK(outcome(recording, server, 0, 1200ms) == "1 200 OK");
    server.clients[0].batch = 50;  // 47 could not be made
    CHECK(outcome(recording, server, 0, 3050ms) == "2 200 OK, 1 lost");
    server.clients[2].end.reset();
    CHECK(outcome(recording, server, 0, 3050ms) == "2 200 OK, 1 still waiting");
  }

  TEST_CASE("signals and ends stand above their moments, whatever their order") {
    Recording recording = made_up();
    recording.marks = {{800ms, "SIGKILL", true}, {900ms, "^C", true}, {2000ms, "SIGTERM", true}};
    const std::string text = draw_text(recording, 80, false);
    CHECK(text.find("\n                   SIGKILL     SIGTERM\n                   end ^C\n") !=
          std::string::npos);
    recording.marks.clear();
    recording.servers.front().ending->at = 0ms;  // before anybody came
    for (ServerRecord& server : recording.servers) server.clients.resize(1);
    recording.servers.front().clients.front().changes.front().at = 700ms;
    CHECK(draw_text(recording, 80, false).find("\n           end\n") != std::string::npos);
  }

  TEST_CASE("what was lost is told by where it was") {
    const auto text = [](Answer::End end, State state, std::string bytes = "") {
      return make_end(1ms, {end, std::move(bytes), {}}, Kind::slow, state).text;
    };
    CHECK(text(Answer::End::closed, State::served) == "closed without an answer");
    CHECK(text(Answer::End::closed, State::accepted) == "closed without an answer");
    CHECK(text(Answer::End::reset, State::served) == "reset without an answer");
    CHECK(text(Answer::End::reset, State::accepted) == "reset: request never read");
    CHECK(text(Answer::End::reset, State::in_kernel) == "reset: never accepted");
    CHECK(text(Answer::End::reset, State::connecting) == "never connected");
    CHECK(text(Answer::End::reset, State::served, "HTTP") == "reset after 4 bytes");
    const auto fate = [](Answer::End end, Kind kind, std::string bytes) {
      return make_end(1ms, {end, std::move(bytes), {}}, kind, State::served).fate;
    };
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    CHECK(fate(Answer::End::closed, Kind::slow, ok) == Fate::answered);
    CHECK(fate(Answer::End::reset, Kind::slow, ok) == Fate::lost);
    CHECK(fate(Answer::End::closed, Kind::slow, "HTTP/1.1 408 R\r\nContent-Length: 0\r\n\r\n") ==
          Fate::turned_away);
    CHECK(fate(Answer::End::closed, Kind::silent, "") == Fate::turned_away);
    CHECK(fate(Answer::End::closed, Kind::slow, "") == Fate::lost);
  }

  TEST_CASE("a script: its title, its stages, its keys") {
    const Script script = parse_script("# A title\n# for the reader\n3 4 s  s\n. ^C w=detach 4\n");
    CHECK(script.title == "A title");
    CHECK(script.stages == std::vector{3, 4});
    CHECK(script.keys == std::vector<std::string>{"s", "s", ".", "^C", "w=detach", "4"});
    CHECK(parse_script("1 2 3 c").keys == std::vector<std::string>{"3", "c"});  // two fit
    CHECK(key_of('\003') == "^C");
    CHECK(key_of(' ') == "space");
    for (const Key& key : keys()) CHECK(key.meaning.size() <= 32);  // or the help is too wide
  }

  TEST_CASE("a key that nobody knows is told, and the lab goes on") {
    Lab lab({.stages = {4}, .conditions = {.sleep = 300ms}});
    lab.play(parse_script("x s hello w=nothing c"));
    while (!lab.is_played()) lab.step({}, 50ms);
    CHECK(lab.problems() == std::vector<std::string>{"There is no key 'x': ? lists them.",
                                                     "There is no key 'hello': ? lists them.",
                                                     "there is no wrong turn 'nothing'"});
    CHECK(summary(lab.played().back().servers.at(0), 1h) == "running, answered 2 of 2");
  }

  TEST_CASE("keys choose what is on stage, and what was played is kept") {
    Lab lab({.stages = {1}, .conditions = {.sleep = 500ms}});
    const auto names = [&] {
      const Recording last = lab.played().back();
      std::string text;
      for (const ServerRecord& server : last.servers) text += server.name + ' ';
      return text;
    };
    CHECK(names() == "stage1_single_thread ");
    lab.press("d");
    CHECK(names() == "stage1_single_thread stage2_thread_per_request ");
    lab.press("n");
    CHECK(names() == "stage3_pool ");
    lab.press("d");
    CHECK(names() == "stage2_thread_per_request stage3_pool ");
    lab.press("d");
    lab.press("4");
    CHECK(names() == "stage4_graceful_shutdown ");
    lab.press("+");
    CHECK(lab.played().back().sleep == 1s);
    lab.press("-");
    lab.press("c");
    lab.press("n");
    lab.press("c");
    REQUIRE(eventually([&] {
      lab.step({}, 10ms);
      return lab.is_played();
    }));
    CHECK(lab.played().size() == 2);
    CHECK(names() == "stage1_single_thread ");
  }

  TEST_CASE("who is in the job queue, after others that were answered in a moment") {
    Lab lab({.stages = {4}, .conditions = {.sleep = 500ms, .workers = 2}});
    const auto jobs = [&] {
      const Recording last = lab.played().back();
      return last.servers.at(0).snapshots.back().second.jobs;
    };
    lab.play(parse_script("c c c"));
    while (!lab.is_played()) lab.step({}, 50ms);
    for (int i = 0; i < 4; ++i) lab.press("z");
    const auto looks = [&] { return lab.step({}, 10ms), jobs() == std::vector<std::size_t>{5, 6}; };
    CHECK(eventually(looks));
  }

  TEST_CASE("a server that has ended is sent no more signals") {
    Lab lab({.stages = {1}});
    lab.press("K");
    REQUIRE(
        eventually([&] { return lab.step({}, 10ms), lab.played().back().servers.at(0).ending; }));
    lab.press("^C");
    CHECK(lab.played().back().marks.size() == 1);
    CHECK(text_of(lab.picture({80, 24})).find("The server has ended") != std::string::npos);
  }

  TEST_CASE("a key that starts the servers anew ends a script; a menu does not disturb it") {
    Lab lab({.stages = {4}, .conditions = {.sleep = 300ms}});
    lab.play(parse_script("s . c"));
    lab.press("?");
    while (!lab.is_played()) lab.step({}, 50ms);
    CHECK(lab.played().back().servers.at(0).clients.size() == 2);
    lab.press("Esc");
    lab.play(parse_script("s . . . ^C"));
    lab.press("4");
    CHECK(lab.is_played());
  }

  TEST_CASE("a server that does not start is told, and the next one is on stage") {
    Lab lab({.command = {"./no-such-server"}});
    CHECK(lab.problems().size() == 1);
    CHECK(text_of(lab.picture({80, 24})).find("cannot run ./no-such-server") != std::string::npos);
    lab.press("c");
    CHECK(text_of(lab.picture({80, 24})).find("No server is running") != std::string::npos);
    lab.press("n");
    CHECK(lab.played().back().servers.at(0).name == "stage1_single_thread");
    lab.press("0");
    CHECK(text_of(lab.picture({80, 24})).find("cannot run ./no-such-server") != std::string::npos);
  }

  TEST_CASE("the Ctrl-C, played") { check_ctrl_c(play("s s s s s s . ^C . c", 1200ms)); }

  TEST_CASE("the rude client, played") { check_rude_client(play("r . s s s s s . . . c", 2000ms)); }

  TEST_CASE("however it ends, its servers end, too") {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
      Running running({BUILD "/tests/lab", "--scene", "ctrl-c"});
      running.lab.send(signal);
      CHECK(running.lab.exit_within(5s).by_signal(signal));
      for (const pid_t server : running.servers) CHECK(eventually([&] { return is_gone(server); }));
    }
  }

  TEST_CASE("a mistake in its command line") {
    for (std::vector<std::string> command :
         std::vector<std::vector<std::string>>{{"--scene", "tragedy"},
                                               {"--workers", "0"},
                                               {"--what"},
                                               {"5"},
                                               {"1", "2", "3"},
                                               {"--"},
                                               {"--script"},
                                               {"--theme", "pink"},
                                               {"4", "--", "./server"},
                                               {"--keep", "/nowhere/x", "--script", "c"},
                                               {"4"}}) {  // there is no keyboard
      command.insert(command.begin(), BUILD "/tests/lab");
      Process lab(command);
      CHECK(lab.exit_within(5s).with(2));
      CHECK(lab.out().empty());
      CHECK(lab.err().starts_with("lab: "));
    }
  }

  TEST_CASE("what is wrong in a script is told at its end, by words and by the exit status") {
    for (const std::string keys : {"hello", "w=nothing"}) {
      Process lab({BUILD "/tests/lab", "--script", keys + " c"});
      CHECK(lab.exit_within(10s).with(2));
      CHECK(lab.err().find('\'' + keys.substr(keys.find('=') + 1) + '\'') != std::string::npos);
      CHECK(lab.out().find("running, answered 1 of 1") != std::string::npos);
    }
    Process lab({BUILD "/tests/lab", "--script", "c", "--", "./no-such-server"});
    CHECK(lab.exit_within(10s).with(2));
  }
}
