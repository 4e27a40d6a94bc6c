#pragma once
// Which curves of which runs stand together in a chart, and in what words.

#include <cstddef>
#include <string>
#include <vector>

#include "music/report/run_summary.h"

namespace music {

// What a line is: a value, a second one in its chart, or one to compare with.
enum class LineKind { kValue, kSecond, kUniform, kBest, kFloor };
enum class ChartPart { kLoss, kScores, kHealth, kCourse };  // of the page

struct ChartLine {
  std::string name = {};  // "usage, least of the segments"
  LineKind kind = LineKind::kValue;
  int run = -1;                    // -1: the same for all
  std::vector<Place> places = {};  // empty: those of the run
  // NaN where there is no value. low and high are empty where each point is one
  // value.
  std::vector<double> mean = {}, low = {}, high = {};
};

struct Chart {
  std::string key, title, caption = {};
  ChartPart part = ChartPart::kCourse;
  bool lead = false;  // first of its part, and wide
  std::vector<ChartLine> lines = {};
  bool suits_log() const;  // all positive, and not all alike
};

// Those that the runs have numbers for, in the order to read them.
std::vector<Chart> charts_of(const std::vector<RunSummary>& runs);

// JSON for charts.js: {"runs": [{"label", "step", "epoch", "minutes"}],
// "charts": [{"key", "log", "lines": [{"name", "kind", "run", "mean", ...}]}]}.
std::string charts_json(const std::vector<Chart>& charts,
                        const std::vector<RunSummary>& runs);

// A picture of it that needs no script; colours by the classes of the sheet.
std::string chart_svg(const Chart& chart, const std::vector<RunSummary>& runs);

}  // namespace music
