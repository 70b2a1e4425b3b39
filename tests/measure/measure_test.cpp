// What measures: its arithmetic and its tables, from figures that are made up; then one quick run.

#include "measurement.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/doctest.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/sanitizers.hpp"
#include "tests/harness/server.hpp"

#include <cmath>
#include <sstream>
#include <stdexcept>

using namespace std::chrono_literals;

namespace {

const std::vector<std::string> columns{"limit", "stage 1", "stage 2"};

// The second round on a machine that was busy: everything took twice as long.
Series made_up() { return {"p50, ms", 2, {{1, 2, 40}, {2, 4, 80}, {1, 2.5, 1200}}}; }

Growth made_up_growth() {
  return {
      "fast requests, ms", 1, {1, 1024}, {{"", 0, {{0.1, 0.2, 0.1}}}, {"", 0, {{40, 2601.4, 45}}}}};
}

// The figures of the first line that begins with `head`, without their thousands' commas.
std::vector<double> figures(const std::string& text, const std::string& head) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(head)) continue;
    std::erase(line, ',');
    std::istringstream words(line.substr(head.size()));
    std::vector<double> values;
    for (std::string word; words >> word;) {
      if (word.front() != 'x') values.push_back(std::stod(word));
    }
    return values;
  }
  return {};
}

void check_threads(const std::vector<double>& threads) {
#ifdef UNDER_TSAN
  constexpr int own = 1;  // it adds a thread where there are several
#else
  constexpr int own = 0;
#endif
  REQUIRE(threads.size() == 5);
  CHECK(threads[0] == 4 + own);
  CHECK(threads[1] == 1);
  CHECK(threads[3] == 5 + own);  // four workers, and main
  CHECK(threads[4] == 6 + own);  // and who watches the grace period
}

std::string run(std::vector<std::string> command, int status = 0) {
  Process process(command);
  const Exit end = process.exit_within(60s);
  CHECK_MESSAGE(end.with(status), end.text(), ": ", process.err());
  return process.out() + process.err();
}

}  // namespace

TEST_SUITE("measure") {
  TEST_CASE("the spread of some values") {
    CHECK(spread({3, 1, 2}).median == 2);
    CHECK(spread({4, 1, 2, 3}).median == 2.5);
    CHECK(spread({3, 1, 2}).lowest == 1);
    CHECK(spread({3, 1, 2}).highest == 3);
    CHECK_THROWS_AS(spread({}), std::invalid_argument);
  }

  TEST_CASE("a ratio is one within a round") {
    const Series series = made_up();
    CHECK(series.median(1) == 2.5);
    CHECK(series.ratio(1).median == 2);
    CHECK(series.ratio(1).highest == 2.5);
    CHECK(series.ratio(2).lowest == 40);
  }

  TEST_CASE("to nothing there is no ratio") {
    CHECK(Series{"", 0, {{0, 5}, {2, 6}}}.ratio(1).highest == 3);
    CHECK(std::isnan(Series{"", 0, {{0, 5}}}.ratio(1).median));
    CHECK(text_table({"a", "b"}, {{"", 0, {{0, 5}}}}).find("nan") == std::string::npos);
  }

  TEST_CASE("numbers as they are read") {
    CHECK(with_commas(1234567.25, 1) == "1,234,567.2");
    CHECK(with_commas(123456, 0) == "123,456");
    CHECK(with_commas(999, 0) == "999");
    CHECK(with_commas(0.5, 2) == "0.50");
  }

  TEST_CASE("the tables of figures that are made up") {
    CHECK(text_table(columns, {made_up()}) ==
          "                           limit     stage 1     stage 2\n"
          "p50, ms                     1.00        2.50       80.00\n"
          "  ratio                                x2.00       x40.0\n"
          "  min-max                          2.00-2.50  40.0-1,200\n");
    CHECK(text_growth(columns, made_up_growth()) ==
          "fast requests, ms\n"
          "  clients          limit       stage 1       stage 2\n"
          "        1            0.1     0.2 x2.00     0.1 x1.00\n"
          "    1,024           40.0 2,601.4 x65.0    45.0 x1.12\n"
          "last step           x400       x13,007          x450\n");
  }

  TEST_CASE("limit gives whole answers") {
    const Server limit(Subject{.command = {BUILD "/tests/limit", "--port", "0"}});
    for (int i = 0; i < 10; ++i) CHECK(ask(limit.port(), "/").text() == "200, whole");
  }

  TEST_CASE("a quick run finds what must be so on any machine") {
    const std::string growth = run({BUILD "/tests/measure", "--quick", "growth"});
    const std::string latencies = growth.substr(growth.find("fast requests"));
    const std::vector<double> few = figures(latencies, "        1 ");
    const std::vector<double> many = figures(latencies, "       16 ");
    REQUIRE(few.size() == 5);
    REQUIRE(many.size() == 5);
    // Of 16 clients 8 are slow, for 50 ms each. In stage 1 the median fast one waits for half of
    // them, in stages 3 and 4 for the first of them at least, in stage 2 for none.
    CHECK(many[1] >= 150);
    CHECK(many[2] < 50);
    CHECK(many[3] >= 50);
    CHECK(many[4] >= 50);
    // limit does not know /sleep: what the client itself costs.
    CHECK(many[0] < many[1] / 2);
    const std::vector<double> threads =
        figures(growth.substr(growth.find("\nthreads")), "       16 ");
    check_threads(threads);
    CHECK(threads[2] >= 3);

    const std::string pool = run({BUILD "/tests/measure", "--quick", "pool"});
    CHECK(figures(pool, "empty jobs").size() == 3);
    const std::vector<double> rates = figures(pool, "jobs of 10 us");
    REQUIRE(rates.size() == 3);
    CHECK(rates[0] <= 100'000);
  }

  TEST_CASE("what costs, where there is ab; a clear word where there is none") {
    const std::string missing = run({"env", "PATH=/", BUILD "/tests/measure", "--quick", "cost"});
    CHECK(missing.find("ab is not installed") != std::string::npos);
    const std::string cost = run({BUILD "/tests/measure", "--quick", "cost"});
    if (cost == missing) return;
    for (const std::string row : {"requests per second", "p50, ms", "p99, ms", "user, us/request",
                                  "system, us/request", "total, us/request", "peak memory, MiB"}) {
      CHECK_MESSAGE(figures(cost, row).size() == 5, row);
    }
    for (const double rate : figures(cost, "requests per second")) CHECK(rate > 0);
    for (const double time : figures(cost, "total, us/request")) CHECK(time > 0);
    check_threads(figures(cost, "threads"));
  }

  TEST_CASE("a mistake in its command line") {
    CHECK(run({BUILD "/tests/measure", "--rounds", "0"}, 2).find("--rounds takes") !=
          std::string::npos);
    CHECK(run({BUILD "/tests/measure", "speed"}, 2).find("unknown argument 'speed'") !=
          std::string::npos);
    CHECK(run({BUILD "/tests/measure", "--help"}).starts_with("Usage: measure"));
  }
}
