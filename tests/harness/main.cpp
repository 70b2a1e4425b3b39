// doctest's main, for the test program. With --at-once it runs each test case in a process of its
// own, a few at a time: most of them only wait.

#define DOCTEST_CONFIG_IMPLEMENT
#include "doctest.hpp"
#include "parallel.hpp"
#include "process.hpp"
#include "skip.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr int exit_skipped = 77;  // Meson's

unsigned tests_run = 0;
bool skipped = false;

// A mistyped test suite runs nothing, and doctest calls that a success.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData& query) override {
    if (query.run_stats != nullptr) tests_run = query.run_stats->numTestCasesPassingFilters;
  }
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override {
    tests_run = stats.numTestCasesPassingFilters;
  }
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("counter", 1, Counter);

// How many test cases the command asks for.
unsigned count_tests(const std::vector<std::string>& command) {
  std::vector<const char*> words;
  for (const std::string& word : command) words.push_back(word.c_str());
  words.push_back("--count");
  doctest::Context(static_cast<int>(words.size()), words.data()).run();
  return tests_run;
}

// What failed or was skipped is printed whole, once it has ended.
int run_at_once(const std::vector<std::string>& command) {
  constexpr std::size_t processes = 4;
  std::mutex mutex;
  int result = EXIT_SUCCESS;  // guarded by mutex
  in_parallel(count_tests(command), processes, [&](std::size_t i) {
    const std::string number = std::to_string(i + 1);
    std::vector<std::string> one = command;
    one.insert(one.end(), {"--no-version", "--first=" + number, "--last=" + number});
    Process process(one);  // throws if there are no more processes: then the tests end, and fail
    const std::optional<Exit> exit = process.wait_for_exit(100s);
    if (exit && exit->with(EXIT_SUCCESS)) return;
    const std::lock_guard lock(mutex);
    std::cout << process.out() << process.err() << "Test case " << number << ": "
              << (exit ? exit->text() : "still running after 100 s") << std::endl;
    const bool is_skipped = exit && exit->with(exit_skipped);
    if (!is_skipped)
      result = EXIT_FAILURE;
    else if (result == EXIT_SUCCESS)
      result = exit_skipped;
  });
  return result;
}

}  // namespace

void skip(std::string_view reason) {
  skipped = true;
  std::cerr << "Skipped: " << reason << '\n';
}

int main(int argc, char** argv) {
  std::vector<std::string> command(argv, argv + argc);
  const bool at_once = std::erase(command, "--at-once") > 0;
  doctest::Context context(argc, argv);
  const int result = at_once ? run_at_once(command) : context.run();
  if (context.shouldExit()) return result;
  if (tests_run == 0) {
    std::cerr << "No test ran: is there a suite of that name?\n";
    return 1;
  }
  return result == 0 && skipped ? exit_skipped : result;
}
