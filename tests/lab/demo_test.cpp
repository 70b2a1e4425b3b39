// The demo: its pictures, from events that are made up; then one real run of each scene.

#include "picture.hpp"
#include "play.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>

using namespace std::chrono_literals;

namespace {

std::string read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The picture that somebody has looked at and found good. Another one is left where the test runs,
// to be looked at, too.
void check_golden(const std::string& name, const std::string& picture) {
  const bool same = read_file(SOURCE "/tests/lab/golden/" + name) == picture;
  CHECK_MESSAGE(same, "./", name, " is not the picture in tests/lab/golden");
  if (!same) std::ofstream(name, std::ios::binary) << picture;
}

// As wait() would tell it.
Exit ends_by(int signal) { return {signal}; }

// Two servers, and one client of each kind.
Recording made_up() {
  Recording recording;
  recording.scene = {.clients = 3, .workers = 1, .sleep = 1000ms, .at = 800ms};
  recording.happened = 800ms;
  recording.now = 3050ms;
  recording.over = true;
  const std::vector<Change> served{{0ms, State::in_kernel}, {10ms, State::served}};
  const std::vector<Change> queued{{0ms, State::in_kernel}, {10ms, State::accepted}};
  const std::vector<Change> unaccepted{{0ms, State::in_kernel}};
  const std::vector<Change> late{{1100ms, State::in_kernel}};
  ServerRecord pool{"stage3_pool", {}};
  pool.clients = {
      {"client 1", served, make_end(810ms, {Answer::End::closed, "", {}}, State::served)},
      {"client 2", queued, make_end(820ms, {Answer::End::reset, "", {}}, State::accepted)},
      {"client 3", unaccepted, make_end(820ms, {Answer::End::reset, "", {}}, State::in_kernel)},
      {"late", late, End{1100ms, Fate::refused, "refused"}}};
  pool.ending = {820ms, ends_by(SIGINT)};
  ServerRecord graceful{"stage4 & <more>", {}};
  std::vector<Change> then_served = queued;
  then_served.push_back({1010ms, State::served});
  graceful.clients = {{"client 1", served, End{1010ms, Fate::answered, "200 OK"}},
                      {"client 2", then_served, End{2020ms, Fate::answered, "200 OK"}},
                      {"client 3", unaccepted, std::nullopt},
                      {"late", late, End{1100ms, Fate::refused, "refused"}}};
  graceful.disconnected = 1;
  graceful.said = "one \"line\"\n  what():  another\n";
  recording.servers = {pool, graceful};
  return recording;
}

// Not by <regex>: it would take longer to compile than all the rest.
std::string without_colours(std::string text) {
  for (std::size_t at = 0; (at = text.find("\033[", at)) != std::string::npos;) {
    const std::size_t end = text.find_first_not_of("0123456789", at + 2);
    REQUIRE(end != std::string::npos);
    REQUIRE(text[end] == 'm');
    text.erase(at, end + 1 - at);
  }
  return text;
}

const ClientRecord& client(const Recording& recording, std::size_t server, std::size_t number) {
  return recording.servers.at(server).clients.at(number);
}

Recording play(const Scene& scene) {
  const std::vector<Role> roles{{"stage3", stage_subject(3)}, {"stage4", stage_subject(4)}};
  Play play(scene, roles);
  while (play.step()) {
  }
  return play.recording();
}

std::string ending(const Recording& recording, std::size_t server) {
  const auto& end = recording.servers.at(server).ending;
  return end ? end->exit.text() : "running";
}

// "lost"; "still waiting" if it has no end yet.
std::string fate(const Recording& recording, std::size_t server, std::size_t number) {
  const auto& end = client(recording, server, number).end;
  return end ? std::string(meaning(end->fate)) : "still waiting";
}

// Where its request was at the Ctrl-C.
std::string place(const Recording& recording, std::size_t server, std::size_t number) {
  REQUIRE_MESSAGE(recording.happened, "nothing has happened");
  const auto state = client(recording, server, number).state(*recording.happened);
  return state ? std::string(meaning(*state)) : "nowhere";
}

void check_ctrl_c(const Recording& recording) {
  CHECK(ending(recording, 0) == "ended by SIGINT");
  CHECK(ending(recording, 1) == "exit 0");
  CHECK(recording.servers.at(1).disconnected == 4);
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    const std::string there = i < 4 ? "served" : "queued";
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
  CHECK(recording.servers.at(0).said.find("cannot send") != std::string::npos);
  CHECK(recording.servers.at(1).said.ends_with(
      "'s job failed: cannot send: Connection reset by peer\n"));
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

// A demo at work, and the servers it has started.
struct Running {
  Process demo;
  std::vector<pid_t> servers;

  explicit Running(std::vector<std::string> command) : demo(std::move(command)) {
    REQUIRE(eventually([&] {
      servers = children(demo.pid());
      return servers.size() == 2 && std::ranges::all_of(servers, has_clients);
    }));
  }
};

}  // namespace

TEST_SUITE("demo") {
  TEST_CASE("the pictures of events that are made up") {
    check_golden("ctrl_c_80.txt", draw_text(made_up(), 80, false));
    check_golden("ctrl_c.svg", draw_svg(made_up()));
  }

  TEST_CASE("colours only add escape sequences") {
    const std::string plain = draw_text(made_up(), 80, false);
    const std::string coloured = draw_text(made_up(), 80, true);
    CHECK(coloured.find("\033[31mx\033[m") != std::string::npos);
    CHECK(coloured.find(":\033[m  still waiting") != std::string::npos);
    CHECK(without_colours(coloured) == plain);
  }

  TEST_CASE("while it happens: what is not over is drawn up to now") {
    Recording recording = made_up();
    recording.now = 500ms;
    recording.over = false;
    recording.happened.reset();
    recording.servers.erase(recording.servers.begin());
    ServerRecord& server = recording.servers.front();
    for (ClientRecord& client : server.clients) client.end.reset();
    server.clients.back().changes.clear();
    const std::string picture = draw_text(recording, 80, false);
    CHECK(picture.find("\n client 1  =====\n") != std::string::npos);
    CHECK(picture.find("\n late\n") != std::string::npos);
    CHECK(picture.find("answered 0 of 3") != std::string::npos);
    CHECK(picture.find("^C") == std::string::npos);
  }

  TEST_CASE("no line of the text is wider than the terminal") {
    Recording recording = made_up();
    recording.servers.front().name = std::string(200, 'n');
    recording.servers.front().said = std::string(200, 's');
    for (const int seconds : {0, 3, 40, 600}) {
      recording.servers.back().clients.front().end->at = std::chrono::seconds(seconds);
      for (const std::size_t width : {60, 80, 100}) {
        std::istringstream lines(draw_text(recording, width, false));
        for (std::string line; std::getline(lines, line);) CHECK(line.size() < width);
      }
    }
  }

  TEST_CASE("what was lost is told by where it was") {
    const auto text = [](Answer::End end, State state, std::string bytes = "") {
      return make_end(1ms, {end, std::move(bytes), {}}, state).text;
    };
    CHECK(text(Answer::End::closed, State::served) == "cut off: no answer came");
    CHECK(text(Answer::End::closed, State::accepted) == "cut off: no answer came");
    CHECK(text(Answer::End::reset, State::served) == "reset: no answer came");
    CHECK(text(Answer::End::reset, State::accepted) == "reset: accepted, not read");
    CHECK(text(Answer::End::reset, State::in_kernel) == "reset: never accepted");
    CHECK(text(Answer::End::reset, State::connecting) == "never connected");
    CHECK(text(Answer::End::reset, State::served, "HTTP") == "reset after 4 bytes");
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    CHECK(make_end(1ms, {Answer::End::closed, ok, {}}, State::served).fate == Fate::answered);
    CHECK(make_end(1ms, {Answer::End::reset, ok, {}}, State::served).fate == Fate::lost);
  }

  TEST_CASE("the Ctrl-C, played") {
    check_ctrl_c(play({.sleep = 1200ms, .at = 0ms}));  // as soon as all are there
  }

  TEST_CASE("the rude client, played") {
    check_rude_client(play({.plot = Plot::rude_client, .sleep = 2000ms, .at = 0ms}));
  }

  TEST_CASE("however it ends, its servers end, too") {
    for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
      Running running({BUILD "/tests/demo"});
      running.demo.send(signal);
      CHECK(running.demo.exit_within(5s).by_signal(signal));
      for (const pid_t server : running.servers) CHECK(eventually([&] { return is_gone(server); }));
    }
  }

  TEST_CASE("a mistake in its command line") {
    for (std::vector<std::string> command :
         std::vector<std::vector<std::string>>{{"--scene", "tragedy"},
                                               {"--clients", "0"},
                                               {"--what"},
                                               {"5"},
                                               {"--"},
                                               {"--at-ms"},
                                               {"--scene", "rude-client", "--at-ms", "1500"},
                                               {"--svg", "/nowhere/x.svg"},
                                               {"--", "./no-such-server"}}) {
      command.insert(command.begin(), BUILD "/tests/demo");
      Process demo(command);
      CHECK(demo.exit_within(5s).with(2));
      CHECK(demo.out().empty());
      CHECK(demo.err().starts_with("demo: "));
    }
  }
}
