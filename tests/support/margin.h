#pragma once
// Comparisons with a tolerance, which say how near they came to it: with
// MUSIC_MARGINS=FILE every one adds to that file, for tests/margins.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

namespace music::test {

// True if the value is at most the bound; doctest prints both.
struct Within {
  double value, bound;

  explicit operator bool() const { return value <= bound; }
  friend std::ostream& operator<<(std::ostream& out, const Within& w) {
    return out << w.value << ", bound " << w.bound;
  }
};

// Appends "program suite|case|file:line|what|value|bound" when this check came
// nearer than any before; one write, so that processes may share the file.
inline void record_margin(const Within& w, std::string_view what,
                          const std::string& file, int line) {
  static const char* const path = std::getenv("MUSIC_MARGINS");
  static std::map<std::string, double> nearest;
  static std::mutex mutex;
  if (!path || !(w.bound > 0)) return;  // a bound of 0 is an equality
  const doctest::ContextOptions* run = doctest::getContextOptions();
  const auto* test = run ? run->currentTest : nullptr;
  const std::string program = run ? run->binary_name.c_str() : "";
  const std::string where = fmt::format(
      "{} {}|{}|{}:{}|{}", program.substr(program.rfind('/') + 1),
      test ? test->m_test_suite : "", test ? test->m_name : "",
      file.substr(std::min(file.rfind("tests/"), file.size())), line, what);
  const double used = std::isnan(w.value) ? INFINITY : w.value / w.bound;
  const std::lock_guard lock(mutex);
  const auto [at, first] = nearest.try_emplace(where, used);
  if (!first && used <= at->second) return;
  at->second = used;
  const std::string text =
      fmt::format("{}|{:.3e}|{:.3e}\n", where, used * w.bound, w.bound);
  const int out = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
  if (out < 0 ||
      write(out, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    FAIL("cannot write to MUSIC_MARGINS=" << path);
  close(out);
}

// CHECK(within(error, 1e-5)). what: tells apart the checks of one line.
inline Within within(double value, double bound, std::string_view what = "",
                     const char* file = __builtin_FILE(),
                     int line = __builtin_LINE()) {
  const Within result{value, bound};
  record_margin(result, what, file, line);
  return result;
}

// |value - expected| / max(|expected|, 1) is within the bound.
inline Within near(double value, double expected, double bound,
                   std::string_view what = "",
                   const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
  const double error =
      value == expected
          ? 0
          : std::abs(value - expected) / std::max(std::abs(expected), 1.0);
  return within(error, bound, what, file, line);
}

}  // namespace music::test
