#include "music/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <ranges>
#include <set>
#include <tuple>

namespace music {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Known {
  const char *key, *title, *caption;
  ChartPart part;
};

// In the order of the page.
constexpr Known kKnown[] = {
    {"loss_de", "DE",
     "entropy within segments: lower is more evenly used units",
     ChartPart::kLoss},
    {"loss_oe", "OE",
     "entropy across segments: lower is more independent segments",
     ChartPart::kLoss},
    {"loss_ti", "TI",
     "invariance: 0 is two views of an image with the same code",
     ChartPart::kLoss},
    {"loss_invariance", "Invariance", "distance of the two views",
     ChartPart::kLoss},
    {"loss_variance", "Variance", "hinge on the deviation of each unit",
     ChartPart::kLoss},
    {"loss_covariance", "Covariance", "between different units",
     ChartPart::kLoss},
    {"loss_on_diagonal", "On the diagonal", "correlation of a unit with itself",
     ChartPart::kLoss},
    {"loss_off_diagonal", "Off the diagonal", "correlation of different units",
     ChartPart::kLoss},
    {"usage_entropy", "Usage of units",
     "1: all units of a segment are used equally, 0: one is; mean and least "
     "segment",
     ChartPart::kHealth},
    {"agreement", "Agreement of views",
     "chance that two views of an image draw the same unit",
     ChartPart::kHealth},
    {"dead_units", "Dead units", "units that a batch hardly uses",
     ChartPart::kHealth},
    {"redundancy", "Redundancy",
     "how much of a segment another one tells, of units drawn by q: little while codes are soft",
     ChartPart::kHealth},
    {"spread", "Spread of embeddings",
     "0: all alike (collapse), 1: over all directions", ChartPart::kHealth},
    {"deviation", "Deviation of units", "0: all images alike (collapse)",
     ChartPart::kHealth},
    {"still_units", "Still units", "units that do not vary over a batch",
     ChartPart::kHealth},
    {"accuracy", "Accuracy of the training task", "share of the batch",
     ChartPart::kHealth},
    {"grad_norm", "Gradient norm", "", ChartPart::kHealth},
    {"lr", "Learning rate", "", ChartPart::kCourse},
    {"images_per_s", "Speed", "images a second", ChartPart::kCourse},
    {"data_wait", "Waiting for images", "share of a step's time",
     ChartPart::kCourse},
    {"skipped_steps", "Skipped steps", "so far; loss or gradient not finite",
     ChartPart::kCourse},
    {"bad_images", "Images that could not be read", "so far",
     ChartPart::kCourse},
};

// A curve that is drawn into the chart of another.
struct Guest {
  std::string host, name;
  LineKind kind;
};

// "" where it has a chart of its own.
Guest guest(const std::string& key) {
  if (key == "usage_entropy_min")
    return {"usage_entropy", "least segment", LineKind::kSecond};
  if (key.starts_with("uniform_"))
    return {"loss_" + key.substr(8), "uniform codes", LineKind::kUniform};
  if (key.starts_with("best_"))
    return {"loss_" + key.substr(5), "best", LineKind::kBest};
  if (key.ends_with("_floor") && key.size() > 6)
    return {"loss_" + key.substr(0, key.size() - 6), "floor of a batch",
            LineKind::kFloor};
  return {"", "", LineKind::kValue};
}

// Values that say nothing while they are 0.
bool is_idle(const std::string& key, const Curve& curve) {
  return (key == "skipped_steps" || key == "bad_images" ||
          key == "dead_units" || key == "still_units") &&
         curve.all.least == 0 && curve.all.greatest == 0;
}

ChartLine level_line(const std::vector<Place>& places, int run, LineKind kind,
                     std::string name, double value) {
  return {.name = std::move(name),
          .kind = kind,
          .run = run,
          .places = {places.front(), places.back()},
          .mean = {value, value}};
}

// What a batch is compared with depends on its size, which of the last one of
// an epoch is another: that of most.
double usual(const Curve& curve) {
  std::vector<double> values;
  for (const Bucket& b : curve.buckets)
    if (b.count > 0) values.push_back(b.least);
  std::ranges::nth_element(values, values.begin() + std::ssize(values) / 2);
  return values[values.size() / 2];
}

ChartLine line_of(const Curve& curve, const Curves& of, int run) {
  ChartLine line{.run = run};
  const std::size_t n = of.places().size();
  bool band = false;
  for (std::size_t i = 0; i < n; ++i) {
    const Bucket b = i < curve.buckets.size() ? curve.buckets[i] : Bucket{};
    line.mean.push_back(b.count > 0 ? b.mean() : kNan);
    line.low.push_back(b.count > 0 ? b.least : kNan);
    line.high.push_back(b.count > 0 ? b.greatest : kNan);
    band = band || (b.count > 0 && b.least != b.greatest);
  }
  if (!band) line.low.clear(), line.high.clear();
  return line;
}

Chart& chart_for(std::vector<Chart>& charts, const std::string& key) {
  const auto it = std::ranges::find(charts, key, &Chart::key);
  if (it != charts.end()) return *it;
  Chart chart{.key = key, .title = key};
  if (key.starts_with("loss_")) chart.part = ChartPart::kLoss;
  for (const Known& known : kKnown)
    if (key == known.key)
      chart.title = known.title, chart.caption = known.caption,
      chart.part = known.part;
  charts.push_back(std::move(chart));
  return charts.back();
}

Chart loss_chart(const std::string& method) {
  return {.key = method.empty() ? "loss" : "loss of " + method,
          .title = "Loss",
          .caption = "what is minimised",
          .part = ChartPart::kLoss};
}

// The total of codes of a known nature, where the weights of the terms are
// known.
std::optional<double> total_of(const RunSummary& run, const std::string& kind) {
  double sum = 0;
  for (const char* term : {"de", "oe", "ti"}) {
    const std::string weight = run.setting(std::string("loss.") + term);
    const Curve* curve = run.metrics.curves.find(kind + "_" + term);
    if (weight.empty() || (!curve && kind != "best")) return std::nullopt;
    if (!curve) continue;  // the best TI is 0
    sum += std::atof(weight.c_str()) * curve->last;
  }
  return std::isfinite(sum) ? std::optional(sum) : std::nullopt;
}

// What all runs compare with is drawn once, and belongs to none.
void merge_references(Chart& chart, const std::vector<RunSummary>& runs) {
  const auto share = [&](ChartLine& line) {
    if (line.places.empty())
      line.places =
          runs[static_cast<std::size_t>(line.run)].metrics.curves.places();
    line.run = -1;
  };
  if (runs.size() == 1) {
    for (ChartLine& line : chart.lines)
      if (line.kind >= LineKind::kUniform) share(line);
    return;
  }
  for (const LineKind kind :
       {LineKind::kUniform, LineKind::kBest, LineKind::kFloor}) {
    std::vector<std::size_t> of_kind;
    for (std::size_t i = 0; i < chart.lines.size(); ++i)
      if (chart.lines[i].kind == kind) of_kind.push_back(i);
    if (of_kind.size() < 2) continue;
    std::size_t longest = of_kind[0];
    bool same = true;
    for (const std::size_t i : of_kind) {
      const ChartLine& line = chart.lines[i];
      same = same && line.mean.size() == 2 &&
             line.mean == chart.lines[of_kind[0]].mean;
      if (same && line.places[1].step > chart.lines[longest].places[1].step)
        longest = i;
    }
    if (!same) continue;
    share(chart.lines[longest]);
    for (auto i = of_kind.rbegin(); i != of_kind.rend(); ++i)
      if (*i != longest)
        chart.lines.erase(chart.lines.begin() +
                          static_cast<std::ptrdiff_t>(*i));
  }
}

// Where a score was taken, on the axes of the run.
Place place_of(const ScoreCurve::Point& point,
               const std::vector<Place>& places) {
  const auto at =
      std::ranges::lower_bound(places, point.step, {}, &Place::step);
  const double seconds = places.empty()       ? 0
                         : at == places.end() ? places.back().seconds
                                              : at->seconds;
  return {point.step, point.epoch, seconds};
}

void add_scores(std::vector<Chart>& charts,
                const std::vector<RunSummary>& runs) {
  Chart chart{.key = "score",
              .title = "Scores during training",
              .caption = "per cent of the test images",
              .part = ChartPart::kScores,
              .lead = true};
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const auto places = runs[r].metrics.curves.places();
    for (std::size_t i = 0; i < runs[r].score_curves.size(); ++i) {
      const ScoreCurve& curve = runs[r].score_curves[i];
      ChartLine line{.name = curve.name,
                     .kind = i == 0 ? LineKind::kValue : LineKind::kSecond,
                     .run = static_cast<int>(r)};
      for (const auto& point : curve.points) {
        line.places.push_back(place_of(point, places));
        line.mean.push_back(point.value);
      }
      chart.lines.push_back(std::move(line));
    }
  }
  if (!chart.lines.empty()) charts.push_back(std::move(chart));
}

}  // namespace

bool Chart::suits_log() const {
  double least = INFINITY, greatest = 0;
  for (const ChartLine& line : lines)
    for (const auto* values : {&line.mean, &line.low, &line.high})
      for (const double v : *values) {
        if (v <= 0) return false;
        least = std::min(least, v);
        greatest = std::max(greatest, v);
      }
  return greatest > (part == ChartPart::kHealth ? 10 : 1.5) * least;
}

std::vector<Chart> charts_of(const std::vector<RunSummary>& runs) {
  std::vector<Chart> charts;
  for (const Known& known : kKnown) chart_for(charts, known.key);
  std::vector<std::pair<std::string, Chart>> losses;  // of each method
  std::set<std::string> keys;  // that have a chart of their own
  for (const RunSummary& run : runs)
    for (const Curve& c : run.metrics.curves.curves()) keys.insert(c.name);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const Curves& curves = runs[r].metrics.curves;
    const auto places = curves.places();
    const std::string method = runs[r].setting("method.name");
    auto known =
        std::ranges::find(losses, method, &decltype(losses)::value_type::first);
    if (known == losses.end())
      known = losses.insert(losses.end(), {method, loss_chart(method)});
    Chart& loss = known->second;
    for (const Curve& curve : curves.curves()) {
      if (curve.all.count == 0 || is_idle(curve.name, curve)) continue;
      Guest g = guest(curve.name);
      const bool own = g.host.empty() || !keys.contains(g.host);
      const int run = static_cast<int>(r);
      ChartLine line =
          !own && g.kind >= LineKind::kUniform
              ? level_line(places, run, g.kind, g.name, usual(curve))
              : line_of(curve, curves, run);
      line.kind = own ? LineKind::kValue : g.kind;
      line.name = own ? "" : g.name;
      const std::string key = own ? curve.name : g.host;
      (key == "loss" ? loss : chart_for(charts, key))
          .lines.push_back(std::move(line));
    }
    for (const auto& [kind, name, word] :
         {std::tuple(LineKind::kUniform, "uniform codes", "uniform"),
          std::tuple(LineKind::kBest, "best", "best")})
      if (const auto total = total_of(runs[r], word); total && !places.empty())
        loss.lines.push_back(
            level_line(places, static_cast<int>(r), kind, name, *total));
  }
  // Before their terms.
  for (auto& [method, chart] : losses | std::views::reverse) {
    chart.lead = losses.size() == 1;
    if (losses.size() > 1)
      chart.title =
          method.empty() ? "Loss, method not known" : "Loss of " + method;
    charts.insert(charts.begin(), std::move(chart));
  }
  add_scores(charts, runs);
  std::erase_if(charts, [](const Chart& c) { return c.lines.empty(); });
  std::ranges::stable_sort(charts, {}, &Chart::part);
  for (Chart& chart : charts) merge_references(chart, runs);
  return charts;
}

}  // namespace music
