// doctest's main, for every test program.

#define DOCTEST_CONFIG_IMPLEMENT
#include "doctest.hpp"
#include "skip.hpp"

#include <iostream>

namespace {

unsigned tests_run = 0;
bool skipped = false;

// A mistyped test suite runs nothing, and doctest calls that a success.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
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

}  // namespace

void skip(std::string_view reason) {
  skipped = true;
  std::cerr << "Skipped: " << reason << '\n';
}

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (context.shouldExit()) return result;
  if (tests_run == 0) {
    std::cerr << "No test ran: is there a suite of that name?\n";
    return 1;
  }
  return result == 0 && skipped ? 77 : result;
}
