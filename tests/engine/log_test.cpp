// Messages are one line each, whatever stands in them.
#include "engine/core/log.h"

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "tests/support/scratch.h"

TEST_SUITE("log") {
  using namespace music;

  TEST_CASE("names of files cannot break a line or turn the terminal red") {
    CHECK(one_line("a\nb\x1b[31m\x7f\xc3\xa9") ==
          "a\\x0ab\\x1b[31m\\x7f\xc3\xa9");
    const test::Scratch scratch;
    const auto before = spdlog::default_logger();
    setup_logging("warn", 3, 4, (scratch.path / "log").string());
    spdlog::warn("[data] {}: replaced", "a\nb.jpg");
    spdlog::info("not of this level");
    spdlog::set_default_logger(before);
    const std::string text = test::slurp(scratch.path / "log");
    CHECK(text.substr(text.find(' ')) ==
          " warning r3 [data] a\\x0ab.jpg: replaced\n");
    CHECK_THROWS_WITH_AS(setup_logging("loud"),
                         "[log] level \"loud\" is not one of trace, debug, info, "
                         "warn, error, off", Error);
  }
}
