#include "common/options.hpp"

#include "tests/harness/doctest.hpp"

#include <vector>

namespace {

Options parse(std::vector<std::string_view> arguments) {
  return parse_options(arguments, {"--workers", "--take", "--grace-ms"});
}

}  // namespace

TEST_SUITE("options") {
  TEST_CASE("the defaults are the chapter's") {
    const Options options = parse({});
    CHECK(options.port == 7878);
    CHECK(options.sleep == std::chrono::seconds(5));
    CHECK(options.workers == 4);
    CHECK(options.grace == std::chrono::seconds(30));
    CHECK(options.take == std::numeric_limits<std::ptrdiff_t>::max());
    CHECK_FALSE(options.help);
  }

  TEST_CASE("each flag sets its value, and the last one counts") {
    const Options options = parse({"--port", "0", "--sleep-ms=7", "--html", "a=b", "--workers", "2",
                                   "--workers", "1000", "--take", "1", "--grace-ms", "0"});
    CHECK(options.port == 0);
    CHECK(options.sleep == std::chrono::milliseconds(7));
    CHECK(options.html == "a=b");
    CHECK(options.workers == 1000);
    CHECK(options.take == 1);
    CHECK(options.grace == std::chrono::milliseconds(0));
    CHECK(parse({"--help"}).help);
    CHECK(parse({"--html="}).html == ".");  // and not the root folder
  }

  TEST_CASE("a mistake is named") {
    CHECK_THROWS_WITH_AS(parse({"--port", "99999"}),
                         "--port takes a whole number from 0 to 65535, not '99999'",
                         std::invalid_argument);
    for (const char* const value :
         {"x", "", "-1", "-0", "-00", "1.5", "1x", " 1", "+1", "99999999999999999999"}) {
      CHECK_THROWS_AS(parse({"--port", value}), std::invalid_argument);
      CHECK_THROWS_AS(parse({"--take", value}), std::invalid_argument);
    }
    CHECK_THROWS_AS(parse({"--workers", "0"}), std::invalid_argument);
    CHECK_THROWS_AS(parse({"--workers", "1001"}), std::invalid_argument);
    CHECK_THROWS_AS(parse({"--take", "0"}), std::invalid_argument);
    CHECK_THROWS_WITH_AS(parse({"--port"}), "--port needs a value", std::invalid_argument);
    CHECK_THROWS_WITH_AS(parse({"--prot", "1"}), "unknown argument '--prot'",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(parse({"7878"}), "unknown argument '7878'", std::invalid_argument);
  }

  TEST_CASE("a flag of a later stage is unknown to an earlier one, and not in its usage") {
    const std::vector<std::string_view> arguments{"--workers", "4"};
    CHECK_THROWS_AS(parse_options(arguments, {}), std::invalid_argument);
    CHECK(usage("stage1", {}).find("--workers") == std::string::npos);
    CHECK(usage("stage3", {"--workers"}).find("--workers N") != std::string::npos);
  }
}
