// Charts as SVG and as JSON.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "music/report/charts.h"
#include "music/report/html.h"

namespace music {
namespace {

const char* word(LineKind kind) {
  constexpr std::array<const char*, 5> kWords = {"value", "second", "uniform",
                                                 "best", "floor"};
  return kWords[static_cast<std::size_t>(kind)];
}

void add_numbers(std::string& out, const char* key,
                 const std::vector<double>& values, int digits = 6) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":[", key);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    if (std::isfinite(values[i]))
      fmt::format_to(std::back_inserter(out), "{:.{}g}", values[i], digits);
    else
      out += "null";
  }
  out += ']';
}

void add_places(std::string& out, const std::vector<Place>& places) {
  std::vector<double> step, epoch, minutes;
  for (const Place& p : places) {
    step.push_back(p.step);
    epoch.push_back(p.epoch);
    minutes.push_back(p.seconds / 60);
  }
  add_numbers(out, "step", step, 10);
  add_numbers(out, "epoch", epoch);
  add_numbers(out, "minutes", minutes);
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false,
                                   nlohmann::json::error_handler_t::replace);
}

constexpr double kLeft = 58, kRight = 10, kTop = 8, kBottom = 22;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double v) {
    if (!std::isfinite(v)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }
};

// About four round numbers in a range.
std::vector<double> ticks(const Range& range) {
  const double raw = (range.high - range.low) / 4;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double m : {5.0, 2.0, 1.0})
    if (m * power >= raw) step = m * power;
  std::vector<double> out;
  for (double t = std::ceil(range.low / step) * step;
       t <= range.high + step / 1e6; t += step)
    out.push_back(std::abs(t) < step / 1e6 ? 0 : t);
  return out;
}

// A line of at most some hundred points.
struct Points {
  std::vector<double> x, mean, low, high;
};

Points points_of(const ChartLine& line, const std::vector<Place>& places) {
  constexpr std::size_t kMost = 300;
  const std::size_t n = std::min(line.mean.size(), places.size());
  const std::size_t each = (n + kMost - 1) / kMost;
  const bool band = !line.low.empty() || each > 1;
  Points out;
  for (std::size_t begin = 0; begin < n; begin += each) {
    const std::size_t end = std::min(n, begin + each);
    double x = 0, sum = 0, count = 0;
    Range range;
    for (std::size_t i = begin; i < end; ++i) {
      x += places[i].step / static_cast<double>(end - begin);
      if (!std::isfinite(line.mean[i])) continue;
      sum += line.mean[i];
      ++count;
      range.add(line.low.empty() ? line.mean[i] : line.low[i]);
      range.add(line.high.empty() ? line.mean[i] : line.high[i]);
    }
    out.x.push_back(x);
    out.mean.push_back(count > 0 ? sum / count : std::nan(""));
    if (!band) continue;
    out.low.push_back(count > 0 ? range.low : std::nan(""));
    out.high.push_back(count > 0 ? range.high : std::nan(""));
  }
  return out;
}

class Svg {
 public:
  Svg(Range x, Range y, bool wide)
      : width_(wide ? 1080 : 380), height_(wide ? 330 : 220), x_(x), y_(y) {
    if (x_.low > 0 && x_.low < 0.05 * x_.high) x_.low = 0;
    const auto widen = [](Range& r) {
      if (!(r.high > r.low)) {
        const double by = std::max(1e-3, std::abs(r.low) * 0.05);
        r.low -= by;
        r.high += by;
      }
    };
    widen(x_);
    widen(y_);
    const double margin = (y_.high - y_.low) * 0.04;
    y_.low -= margin;
    y_.high += margin;
  }

  void axes() {
    for (const double t : ticks(y_)) {
      add("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text class=\"tick\" "
          "x=\"{}\" "
          "y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>",
          kLeft, y(t), width_ - kRight, kLeft - 6, y(t) + 4, t);
    }
    for (const double t : ticks(x_))
      add("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" "
          "text-anchor=\"middle\">{:.6g}</text>",
          x(t), height_ - 6, t);
  }

  void line(const Points& p, const std::string& classes) {
    if (!p.low.empty()) band(p, classes);
    std::string d;
    bool pen = false;
    for (std::size_t i = 0; i < p.x.size(); ++i) {
      const bool there = std::isfinite(p.mean[i]);
      if (there)
        fmt::format_to(std::back_inserter(d), "{}{:.1f} {:.1f}",
                       pen ? 'L' : 'M', x(p.x[i]), y(p.mean[i]));
      pen = there;
    }
    add("<path class=\"line {}\" d=\"{}\"/>", classes, d);
  }

  void label(const std::string& text, double at) {
    add("<text class=\"tick\" x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>",
        width_ - kRight - 2, y(at) - 4, html_escape(text));
  }

  std::string done(const std::string& title) const {
    return fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
        width_, height_, html_escape(title), out_);
  }

 private:
  // From gap to gap.
  void band(const Points& p, const std::string& classes) {
    for (std::size_t i = 0; i < p.x.size();) {
      if (!std::isfinite(p.low[i])) {
        ++i;
        continue;
      }
      std::string there, back;
      for (; i < p.x.size() && std::isfinite(p.low[i]); ++i) {
        fmt::format_to(std::back_inserter(there), "{}{:.1f} {:.1f}",
                       there.empty() ? 'M' : 'L', x(p.x[i]), y(p.high[i]));
        back = fmt::format("L{:.1f} {:.1f}", x(p.x[i]), y(p.low[i])) + back;
      }
      add("<path class=\"band {}\" d=\"{}{}Z\"/>", classes, there, back);
    }
  }

  template <typename... A>
  void add(fmt::format_string<A...> format, A&&... values) {
    fmt::format_to(std::back_inserter(out_), format,
                   std::forward<A>(values)...);
  }
  double x(double v) const {
    return kLeft +
           (width_ - kLeft - kRight) * (v - x_.low) / (x_.high - x_.low);
  }
  double y(double v) const {
    return kTop +
           (height_ - kTop - kBottom) * (y_.high - v) / (y_.high - y_.low);
  }

  double width_, height_;
  Range x_, y_;
  std::string out_;
};

}  // namespace

std::string charts_json(const std::vector<Chart>& charts,
                        const std::vector<RunSummary>& runs) {
  std::string out = "{\"runs\":[";
  for (std::size_t r = 0; r < runs.size(); ++r) {
    out += (r > 0 ? ",\n{\"label\":" : "\n{\"label\":") + quoted(runs[r].label);
    add_places(out, runs[r].metrics.curves.places());
    out += '}';
  }
  out += "],\n\"charts\":[";
  for (std::size_t c = 0; c < charts.size(); ++c) {
    const Chart& chart = charts[c];
    out += fmt::format("{}\n{{\"key\":{},\"log\":{},\"lines\":[",
                       c > 0 ? "," : "", quoted(chart.key), chart.suits_log());
    for (std::size_t i = 0; i < chart.lines.size(); ++i) {
      const ChartLine& line = chart.lines[i];
      out += fmt::format("{}{{\"name\":{},\"kind\":\"{}\",\"run\":{}",
                         i > 0 ? ",\n" : "\n", quoted(line.name),
                         word(line.kind), line.run);
      if (!line.places.empty()) add_places(out, line.places);
      add_numbers(out, "mean", line.mean);
      if (!line.low.empty()) add_numbers(out, "low", line.low);
      if (!line.high.empty()) add_numbers(out, "high", line.high);
      out += '}';
    }
    out += "]}";
  }
  return out + "]}";
}

std::string chart_svg(const Chart& chart, const std::vector<RunSummary>& runs) {
  std::vector<Points> lines;
  Range x, y;
  for (const ChartLine& line : chart.lines) {
    const auto& places =
        !line.places.empty() || line.run < 0
            ? line.places
            : runs[static_cast<std::size_t>(line.run)].metrics.curves.places();
    lines.push_back(points_of(line, places));
    const Points& p = lines.back();
    for (const double v : p.x) x.add(v);
    for (const auto* values : {&p.mean, &p.low, &p.high})
      for (const double v : *values) y.add(v);
  }
  if (!(x.low <= x.high) || !(y.low <= y.high)) return "";
  Svg svg(x, y, chart.lead);
  svg.axes();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const ChartLine& line = chart.lines[i];
    const std::string color =
        line.run < 0 ? "shared" : fmt::format("series-{}", line.run % 12 + 1);
    svg.line(lines[i], fmt::format("{} {}", word(line.kind), color));
    if (line.kind >= LineKind::kUniform && line.run < 0 &&
        !lines[i].mean.empty() && std::isfinite(lines[i].mean.back()))
      svg.label(line.name, lines[i].mean.back());
  }
  return svg.done(chart.title);
}

}  // namespace music
