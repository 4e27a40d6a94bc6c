// The head of a report, its curves and the course of the runs.

#include "music/report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "engine/core/counted.h"
#include "music/report/html.h"
#include "music/report/verdict.h"

namespace music {
namespace {

const char* class_of(Verdict::Level level) {
  switch (level) {
    case Verdict::Level::kGood:
      return "good";
    case Verdict::Level::kFair:
      return "fair";
    case Verdict::Level::kBad:
      return "bad";
    default:
      return "note";
  }
}

std::string duration(double seconds) {
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s >= 3600) return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} s", s);
}

std::string when(std::filesystem::file_time_type time) {
  const auto system = std::chrono::file_clock::to_sys(time);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(
          system));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

// "20-NN top-1 40.72 %".
std::string headline(const ScoreLine& s) {
  return fmt::format("{} {:.2f} {}", s.name, s.value, s.unit);
}

// "; chance 10, random initialisation 25.83".
std::string beside(const ScoreLine& s) {
  std::string out;
  if (s.chance) out += fmt::format("; chance {:.4g}", *s.chance);
  if (s.random_initialisation)
    out += fmt::format("{} random initialisation {:.2f}", s.chance ? "," : ";",
                       *s.random_initialisation);
  return out;
}

std::string headlines(const RunSummary& run) {
  std::string out;
  for (const RunScores& scores : run.scores)
    if (!scores.scores.empty())
      out +=
          fmt::format("<p><b>{}</b><br><span class=\"note\">{}{}</span></p>\n",
                      html_escape(headline(scores.scores.front())),
                      html_escape(scores.protocol),
                      html_escape(beside(scores.scores.front())));
  return out.empty() ? "<p class=\"note\">no score yet: <code>music_knn RUN "
                       "--train DIR "
                       "--test DIR</code></p>\n"
                     : out;
}

std::string card(const RunSummary& run, std::size_t number, bool several) {
  const Verdict verdict = judge(run);
  const Curves& c = run.metrics.curves;
  std::string out = fmt::format(
      "<div class=\"card\"><h3>{}{}</h3>\n<p class=\"verdict\"><span "
      "class=\"{}\">{}</span></p>\n<p>{}",
      several ? fmt::format("<span class=\"series-{}\">&#9679;</span> ",
                            number % 12 + 1)
              : "",
      html_escape(run.label), class_of(verdict.level),
      html_escape(verdict.health), html_escape(verdict.state));
  if (run.written && c.last_step() >= 0) out += "; last step written " + when(*run.written);
  out += "</p>\n";
  const std::string method = run.setting("method.name"),
                    arch = run.setting("model.arch");
  if (!method.empty() || !arch.empty())
    out +=
        fmt::format("<p>{}{}{}, {} {}, batch {}</p>\n", html_escape(method),
                    method.empty() || arch.empty() ? "" : ", ",
                    html_escape(arch), html_escape(run.setting("train.epochs")),
                    run.epochs == 1 ? "epoch" : "epochs",
                    html_escape(run.setting("train.batch")));
  if (const Curve* loss = c.find("loss"); loss && loss->last_epoch.count > 0)
    out += fmt::format("<p>loss {:.4f} (mean of the last epoch)</p>\n",
                       loss->last_epoch.mean());
  if (several) out += headlines(run);
  if (c.last_seconds() > 0 && run.metrics.images_per_second > 0)
    out +=
        fmt::format("<p class=\"note\">{} of training, {:.0f} images/s</p>\n",
                    duration(c.last_seconds()), run.metrics.images_per_second);
  for (const std::string& remark : verdict.remarks)
    out += "<p class=\"note\">" + html_escape(remark) + "</p>\n";
  return out + "</div>\n";
}

// What the dashes mean, where there are any.
std::string reference_key(const std::vector<Chart>& charts) {
  constexpr std::pair<LineKind, const char*> kKinds[] = {
      {LineKind::kUniform, "uniform"},
      {LineKind::kBest, "best"},
      {LineKind::kFloor, "floor"}};
  std::string out;
  for (const auto& [kind, css] : kKinds) {
    const ChartLine* found = nullptr;
    for (const Chart& chart : charts)
      for (const ChartLine& line : chart.lines)
        if (line.kind == kind) found = &line;
    if (found)
      out += fmt::format(
          "<span><svg class=\"dash\" viewBox=\"0 0 36 8\" aria-hidden=\"true\">"
          "<path class=\"line shared {}\" d=\"M0 4H36\"/></svg> {}</span>\n",
          css, html_escape(found->name));
  }
  return out.empty() ? "" : "<p class=\"dashes note\">" + out + "</p>\n";
}

std::string figure(const Chart& chart, const Runs& runs) {
  return fmt::format(
      "<figure class=\"chart{}\" data-chart=\"{}\"><figcaption><b>{}</b> "
      "<span>{}</span></figcaption><div class=\"plot\">{}</div></figure>\n",
      chart.lead ? " wide" : "", html_escape(chart.key),
      html_escape(chart.title), html_escape(chart.caption),
      chart_svg(chart, runs));
}

}  // namespace

std::string section(const std::string& id, const std::string& title,
                    const std::string& body) {
  return body.empty()
             ? ""
             : fmt::format("<section><h2 id=\"{}\">{}</h2>\n{}</section>\n", id,
                           html_escape(title), body);
}

std::string overview(const Runs& runs) {
  std::string out = "<div class=\"cards\">\n";
  for (std::size_t i = 0; i < runs.size(); ++i)
    out += card(runs[i], i, runs.size() > 1);
  if (runs.size() == 1)
    out += "<div class=\"card\"><h3>Scores</h3>\n" + headlines(runs[0]) +
           "</div>\n";
  return out + "</div>\n";
}

std::string curves(const std::vector<Chart>& charts, const Runs& runs) {
  if (charts.empty()) return "";
  std::string out;
  if (runs.size() > 1) {
    out += "<ul class=\"legend\">";
    for (std::size_t i = 0; i < runs.size(); ++i)
      out += fmt::format("<li><b class=\"series-{}\">{}</b></li>\n", i % 12 + 1,
                         html_escape(runs[i].label));
    out += "</ul>\n";
  }
  out += "<div class=\"toolbar\"></div>\n";
  out += reference_key(charts);
  constexpr std::pair<ChartPart, const char*> kParts[] = {
      {ChartPart::kLoss, ""},
      {ChartPart::kScores, ""},
      {ChartPart::kHealth, "Health"},
      {ChartPart::kCourse, "Course and speed"}};
  for (const auto& [part, title] : kParts) {
    std::string figures;
    for (const Chart& chart : charts)
      if (chart.part == part) figures += figure(chart, runs);
    if (figures.empty()) continue;
    if (*title) out += fmt::format("<h3>{}</h3>\n", title);
    out += "<div class=\"charts\">\n" + figures + "</div>\n";
  }
  std::int64_t rows = 0;
  bool thinned = false;
  for (const RunSummary& run : runs) {
    rows = std::max(rows, run.metrics.curves.rows());
    thinned = thinned ||
              static_cast<std::int64_t>(run.metrics.curves.places().size()) <
                  run.metrics.curves.rows();
  }
  return out + "<p class=\"note\">" +
         (thinned ? counted(rows, "step") +
                        ": a point is the mean of several in a row, the band "
                        "around it "
                        "goes from the least to the greatest of them."
                  : "A point is a step.") +
         " Over steps, where no script runs.</p>\n";
}

std::string course(const Runs& runs) {
  std::string out;
  for (const RunSummary& run : runs) {
    HtmlTable events({HtmlTable::text("time"), HtmlTable::text("event")});
    for (const RunEvent& e : run.events) {
      const char* css = e.kind == RunEvent::Kind::kWarning ? "fair" : "";
      events.row({HtmlTable::text(e.time),
                  HtmlTable::markup(fmt::format("<span class=\"{}\">{}</span>",
                                                css, html_escape(e.text)))});
    }
    HtmlTable bad({HtmlTable::text("image"), HtmlTable::text("why")});
    for (const auto& [name, reason] : run.quarantine)
      bad.row({HtmlTable::text(name), HtmlTable::text(reason)});
    if (events.empty() && bad.empty()) continue;
    if (runs.size() > 1) out += "<h3>" + html_escape(run.label) + "</h3>\n";
    if (!events.empty())
      out += events.html(run.events_left_out > 0
                             ? counted(run.events_left_out, "event") +
                                   " between the first and the last left out"
                             : "");
    if (!bad.empty())
      out +=
          bad.html(counted(run.quarantined, "image") + " could not be read" +
                   (run.quarantined > std::ssize(run.quarantine)
                        ? fmt::format("; the first {}", run.quarantine.size())
                        : ""));
  }
  return out;
}

}  // namespace music
