#include "music/report/curves.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "music/report/charts.h"
#include "music/report/metrics_reader.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using test::within;
namespace fs = std::filesystem;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A file of its own with that text.
struct TextFile {
  explicit TextFile(const std::string& text) {
    static int count = 0;
    path = fs::temp_directory_path() /
           fmt::format("music_curves_{}_{}.jsonl", getpid(), count++);
    std::ofstream(path, std::ios::binary) << text;
  }
  ~TextFile() { fs::remove(path); }
  fs::path path;
};

}  // namespace

TEST_SUITE("curves") {

TEST_CASE("a spike of one step survives, whatever the length") {
  for (const std::int64_t rows : {1, 9, 10, 11, 20, 21, 999, 12345}) {
    CAPTURE(rows);
    for (const std::int64_t spike : {std::int64_t{0}, rows / 2, rows - 1}) {
      Curves curves(10);
      double sum = 0;
      for (std::int64_t i = 0; i < rows; ++i) {
        const double v = i == spike ? 1e6 : std::sin(static_cast<double>(i));
        sum += v;
        curves.row(i, i / 100, static_cast<double>(i));
        curves.add("loss", v);
      }
      const Curve& curve = *curves.find("loss");
      CHECK(curve.buckets.size() == curves.places().size());
      CHECK(curve.buckets.size() <= 10);
      CHECK(std::ssize(curve.buckets) >= std::min<std::int64_t>(rows, 5));
      Bucket all;
      for (const Bucket& b : curve.buckets) all.add(b);
      CHECK(all.greatest == 1e6);
      CHECK(all.count == rows);
      CHECK(within(std::abs(all.sum - sum), 1e-9 * std::abs(sum)));
      // Where it stands: within its bucket.
      const auto at = std::ranges::max_element(curve.buckets, {}, &Bucket::greatest);
      const Place place = curves.places()[static_cast<std::size_t>(
          at - curve.buckets.begin())];
      CHECK(std::abs(place.step - static_cast<double>(spike)) <=
            static_cast<double>(rows) / static_cast<double>(curve.buckets.size()));
    }
  }
}

TEST_CASE("values that are not finite, curves that come late or end early") {
  Curves curves(4);
  for (int i = 0; i < 9; ++i) {
    curves.row(i, i / 3, i);
    if (i < 2) curves.add("early", 1);
    curves.add("loss", i == 8 ? kNan : -i);
    if (i == 8) curves.add("late", 5);
  }
  CHECK(curves.find("loss")->missing == 1);
  CHECK(std::isnan(curves.find("loss")->last));
  CHECK(curves.find("loss")->last_epoch.count == 2);
  CHECK(curves.find("early")->all.count == 2);
  CHECK(curves.find("late")->buckets.back().greatest == 5);
  CHECK(curves.steps_per_epoch() == 3);
  CHECK(curves.find("other") == nullptr);
}

TEST_CASE("no more than a hundred curves") {
  Curves curves;
  curves.row(0, 0, 0);
  for (int i = 0; i < 200; ++i) curves.add(fmt::format("k{}", i), i);
  CHECK(curves.curves().size() == 100);
}

TEST_CASE("metrics.jsonl: what is damaged is left out and told in a line") {
  const TextFile file(
      R"({"argv":"music_train --out <b>","music":"0.1"})" "\n"
      R"({"epoch":0,"step":0,"loss":-1.5,"time":0.5,"lr":0.1,"images_per_s":100})" "\n"
      "garbage\n"
      "[1,2]\n"
      R"({"epoch":0,"step":1,"loss":null,"time":1,"images_per_s":300})" "\n"
      R"({"epoch":0,"step":1,"loss":7,"time":1})" "\n"
      R"({"epoch":1,"step":2,"loss":-2,"time":2,"extra":"text","images_per_s":200})" "\n"
      R"({"epoch":1,"step":3,"lo)");
  std::vector<std::string> problems;
  const RunMetrics m = read_metrics(file.path, 100, problems);
  CHECK(m.command == "music_train --out <b>");
  CHECK(m.version == "0.1");
  CHECK(m.curves.rows() == 3);
  CHECK(m.curves.find("loss")->missing == 1);
  CHECK(m.curves.find("loss")->last == -2);
  CHECK(m.images_per_second == 200);
  REQUIRE(problems.size() == 3);
  CHECK(problems[0].find("the last line is not whole") != std::string::npos);
  CHECK(problems[1].find("2 lines that are no JSON objects of a step, the first is "
                         "line 3") != std::string::npos);
  CHECK(problems[2].find("1 line with steps that were there before") != std::string::npos);
}

TEST_CASE("charts: lines to compare with, levels, gaps, methods apart") {
  RunSummary music, other;
  for (int i = 0; i < 6; ++i) {
    music.metrics.curves.row(i, i / 3, i);
    music.metrics.curves.add("loss", i == 2 ? kNan : -i);
    music.metrics.curves.add("loss_oe", -i);
    music.metrics.curves.add("uniform_oe", -6);
    music.metrics.curves.add("oe_floor", i % 3 == 2 ? -1 : -5);  // a short batch
    music.metrics.curves.add("dead_units", 0);
    other.metrics.curves.row(i, i / 3, i);
    other.metrics.curves.add("loss", 1 + i);
  }
  music.settings = {{"method.name", "\"music\"", ""}};
  other.settings = {{"method.name", "\"vicreg\"", ""}};
  music.label = "</script><b>";
  const std::vector<RunSummary> runs = {music, other};
  const auto charts = charts_of(runs);
  REQUIRE(charts.size() == 3);
  CHECK(charts[0].title == "Loss of music");
  CHECK(charts[1].title == "Loss of vicreg");
  CHECK_FALSE(charts[0].suits_log());
  CHECK(charts[1].suits_log());
  REQUIRE(charts[2].lines.size() == 3);
  CHECK(charts[2].lines[1].kind == LineKind::kUniform);
  CHECK(charts[2].lines[2].kind == LineKind::kFloor);
  CHECK(charts[2].lines[2].mean == std::vector<double>{-5, -5});
  // A gap lifts the pen.
  const std::string svg = chart_svg(charts[0], runs);
  const auto path = svg.find("class=\"line value series-1\" d=\"M");
  REQUIRE(path != svg.npos);
  const std::string d = svg.substr(path, svg.find('>', path) - path);
  CHECK(std::ranges::count(d, 'M') == 2);
  const std::string json = charts_json(charts, runs);
  CHECK(json.find("\"mean\":[0,-1,null,-3,-4,-5]") != json.npos);
}

TEST_CASE("one run's lines to compare with belong to nobody") {
  RunSummary run;
  for (int i = 0; i < 4; ++i) {
    run.metrics.curves.row(i, 0, i);
    run.metrics.curves.add("loss_de", -i);
    run.metrics.curves.add("best_de", -9);
  }
  const auto charts = charts_of({run});
  REQUIRE(charts.size() == 1);
  CHECK(charts[0].lines[1].run == -1);
  CHECK(charts[0].lines[1].places.size() == 2);
  CHECK(chart_svg(charts[0], {run}).find(">best</text>") != std::string::npos);
}

}
