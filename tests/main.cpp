// The main of every test program. A case that cannot run here says so with
// MESSAGE("[skipped] why"); a run that is otherwise clean then exits with 77,
// which CTest reports as skipped. A failure is never hidden by a skip.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>

#include "engine/core/wait_policy.h"

namespace {

bool skipped = false;

struct SkipListener final : doctest::IReporter {
  explicit SkipListener(const doctest::ContextOptions&) {}
  void log_message(const doctest::MessageData& message) override {
    if (std::strncmp(message.m_string.c_str(), "[skipped]", 9) == 0)
      skipped = true;
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("skip", 1, SkipListener);

}  // namespace

int main(int argc, char** argv) {
  music::settle_wait_policy(argv);
  constexpr int kSkipped = 77;
  doctest::Context context(argc, argv);
  const int failed = context.run();
  return failed == 0 && skipped ? kSkipped : failed;
}
