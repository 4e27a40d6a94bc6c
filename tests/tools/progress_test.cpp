#include "tools/progress.h"

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace {

using namespace music;

ProgressState at(std::int64_t step) {
  ProgressState s;
  s.epochs = 4;
  s.steps = 100;
  s.step = step;
  s.epoch = static_cast<double>(step) / 25;
  s.views = step * 512;
  s.data_wait = static_cast<double>(step) * 0.1;
  s.legend = "[a, b] beside a value: a for uniform codes, b at best";
  s.lines = {{"loss", -8.125, -4.4916, -13.146},
             {"DE", -2.5, -0.1096, -4.3820},
             {"OE", -6.0, -8.7641, -8.7641},
             {"TI", 0.375, 4.3820, 0}};
  return s;
}

std::string written(std::FILE* file) {
  std::string out;
  std::rewind(file);
  for (int c; (c = std::fgetc(file)) != EOF;) out += static_cast<char>(c);
  std::fclose(file);
  return out;
}

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos;
       at += part.size())
    ++n;
  return n;
}

}  // namespace

TEST_SUITE("progress") {
  TEST_CASE("a bar only on an interactive terminal of rank 0") {
    const auto kAuto = ProgressStyle::kAuto, kBar = ProgressStyle::kBar,
               kPlain = ProgressStyle::kPlain, kNone = ProgressStyle::kNone;
    CHECK(choose_style(kAuto, 0, true, "xterm", nullptr) == kBar);
    CHECK(choose_style(kAuto, 0, false, "xterm", nullptr) == kPlain);
    CHECK(choose_style(kAuto, 0, true, "dumb", nullptr) == kPlain);
    CHECK(choose_style(kAuto, 0, true, nullptr, nullptr) == kPlain);
    CHECK(choose_style(kAuto, 0, true, "xterm", "true") == kPlain);
    CHECK(choose_style(kAuto, 1, true, "xterm", nullptr) == kNone);
    CHECK(choose_style(kBar, 0, false, nullptr, "1") == kBar);
    CHECK(choose_style(kBar, 1, true, "xterm", nullptr) == kNone);
    CHECK(choose_style(kNone, 0, true, "xterm", nullptr) == kNone);
  }

  TEST_CASE("the line shows terms beside their references, rates and ETA") {
    CHECK(progress_text(at(50), at(40), 5.0, 125) ==
          "epoch 2.00/4  step 50/100  loss -8.125 [-4.49, -13.15]  "
          "DE -2.500 [-0.11, -4.38]  OE -6.000 [-8.76, -8.76]  "
          "TI 0.375 [4.38, 0.00]  1024 views/s  data wait 20%  ETA 2m05s");
    CHECK(duration_text(59.4) == "59s");
    CHECK(duration_text(3599) == "59m59s");
    CHECK(duration_text(3 * 3600 + 300) == "3h05m");
    CHECK(duration_text(2 * 86400 + 4 * 3600) == "2d04h");
  }

  TEST_CASE("plain lines keep their interval and hold no escape code") {
    std::FILE* file = std::tmpfile();
    double now = 0;
    {
      Progress progress(ProgressStyle::kAuto, 0, 30, file, [&] { return now; });
      for (std::int64_t step = 1; step <= 100; ++step, now += 1)
        progress.update(at(step));
    }
    const std::string text = written(file);
    CHECK(count(text, "\n") == 6);  // explanation, steps 1, 31, 61, 91, 100
    CHECK(count(text, "step 31/100") == 1);
    CHECK(count(text, "step 100/100") == 1);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find('\r') == std::string::npos);
  }

  TEST_CASE("the bar stays on one line and ends it") {
    std::FILE* file = std::tmpfile();
    double now = 0;
    {
      Progress progress(ProgressStyle::kBar, 0, 30, file, [&] { return now; });
      for (std::int64_t step = 1; step <= 100; ++step, now += 0.1)
        progress.update(at(step));
    }
    const std::string text = written(file);
    CHECK(count(text, "\n") == 1);
    CHECK(text.back() == '\n');
    CHECK(count(text, "\r") > 30);
    CHECK(text.find("100% [================]") != std::string::npos);
  }

  TEST_CASE("a message wipes the bar first, whichever logger it goes to") {
    std::FILE* file = std::tmpfile();
    const auto before = spdlog::default_logger();
    {
      Progress progress(ProgressStyle::kBar, 0, 30, file, [] { return 0.0; });
      spdlog::set_default_logger(std::make_shared<spdlog::logger>("other"));
      progress.update(at(1));
      spdlog::warn("a message");
      std::fputs("a message\n", file);
      CHECK(spdlog::default_logger()->sinks().size() == 1);
    }
    CHECK(spdlog::default_logger()->sinks().empty());
    spdlog::set_default_logger(before);
    const std::string text = written(file);
    CHECK(text.ends_with("\x1b[K\r\x1b[Ka message\n"));
  }

  TEST_CASE("nothing at all when not asked for, or on another rank") {
    for (int rank : {0, 1}) {
      std::FILE* file = std::tmpfile();
      {
        Progress progress(rank ? ProgressStyle::kPlain : ProgressStyle::kNone,
                          rank, 0, file);
        progress.update(at(1));
        progress.update(at(2));
      }
      CHECK(written(file).empty());
    }
  }
}
