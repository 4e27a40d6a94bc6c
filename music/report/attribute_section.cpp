#include "music/report/attribute_section.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/core/counted.h"
#include "music/report/html.h"

namespace music {
namespace {

using Cells = std::vector<HtmlTable::Cell>;
constexpr int kTints = 10;
constexpr std::size_t kPairs = 5;
// Names beyond these are in the file.
constexpr std::size_t kNames = 200;

HtmlTable::Cell text(std::string_view text) { return HtmlTable::text(text); }
HtmlTable::Cell number(std::string_view text) { return HtmlTable::number(text); }

std::string percent(double share) {
  return fmt::format("{:.0f}\u202f%", 100 * std::max(share, 0.0));
}

std::string p_value(double p, std::int64_t permutations) {
  const double least = 1 / static_cast<double>(permutations + 1);
  return p <= least * 1.001 ? fmt::format("≤ {:.2g}", least)
                            : fmt::format("{:.2g}", p);
}

std::string describe(const UnitName& unit) {
  return fmt::format("{} of {} (base {})", percent(unit.purity()), unit.images,
                     percent(unit.base()));
}

std::int64_t first_unit(const AttributeAnalysis& analysis, std::int64_t segment) {
  return std::reduce(analysis.sizes.begin(), analysis.sizes.begin() + segment);
}

std::string unit_name(const AttributeAnalysis& analysis, const UnitName& unit) {
  return fmt::format("unit {} (segment {})",
                     first_unit(analysis, unit.segment) + unit.place, unit.segment);
}

const AttributeResult& attribute_of(const AttributeAnalysis& analysis,
                                    const UnitName& unit) {
  return analysis.attributes[static_cast<std::size_t>(unit.attribute)];
}

std::string value_name(const AttributeAnalysis& analysis, const UnitName& unit) {
  const AttributeResult& attribute = attribute_of(analysis, unit);
  return fmt::format("{} = {}", attribute.name,
                     attribute.values[static_cast<std::size_t>(unit.value)]);
}

bool is_told(const AttributeAnalysis& analysis, std::int64_t attribute) {
  for (std::int64_t s = 0; s < analysis.segments(); ++s)
    if (analysis.significant(analysis.tell(s, attribute))) return true;
  return false;
}

std::string summary(const AttributeAnalysis& analysis) {
  const std::int64_t count = std::ssize(analysis.attributes);
  std::int64_t told = 0;
  for (std::int64_t a = 0; a < count; ++a) told += is_told(analysis, a);
  return fmt::format(
      "<p>Of {} the segments tell {} ({}, {}; significant at {:.2g} for all {} pairs "
      "together, by the largest statistic of {} permutations).</p>\n",
      counted(count, "attribute"), told, counted(analysis.segments(), "segment"),
      counted(analysis.images, "image"), analysis.level, analysis.segments() * count,
      analysis.permutations);
}

// Segments downwards, attributes to the right.
std::string heat_map(const AttributeAnalysis& analysis) {
  std::string html =
      "<div class=\"scroll\"><table class=\"tells\">\n<caption>What a segment tells of "
      "an attribute, beyond chance, in per cent of the attribute's entropy; empty "
      "where not significant</caption>\n<thead><tr><th scope=\"col\">segment</th>";
  for (const AttributeResult& a : analysis.attributes)
    html += fmt::format("<th scope=\"col\"><span>{}</span></th>", html_escape(a.name));
  html += "</tr></thead>\n<tbody>\n";
  for (std::int64_t s = 0; s < analysis.segments(); ++s) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", s);
    for (std::int64_t a = 0; a < std::ssize(analysis.attributes); ++a) {
      const Telling& t = analysis.tell(s, a);
      if (!analysis.significant(t)) {
        html += "<td></td>";
        continue;
      }
      const double share = std::clamp(t.association.share, 0.0, 1.0);
      html += fmt::format(
          "<td class=\"tint-{}\" title=\"{:.3f} nats, {:.3f} by chance, p {}\">{:.0f}"
          "</td>",
          std::min(kTints - 1, static_cast<int>(share * kTints)),
          t.association.information, t.association.chance,
          html_escape(p_value(t.adjusted, analysis.permutations)), 100 * share);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string best_segments(const AttributeAnalysis& analysis) {
  std::size_t most = 0;
  for (const AttributeResult& a : analysis.attributes)
    most = std::max(most, a.best.size());
  Cells head{text("attribute"), number("values"),
                         number("images"), number("adjusted p")};
  for (std::size_t k = 0; k < most; ++k)
    head.push_back(text(k == 0 ? "best segment" : "next"));
  HtmlTable table(std::move(head));
  for (std::int64_t a = 0; a < std::ssize(analysis.attributes); ++a) {
    const AttributeResult& result = analysis.attributes[static_cast<std::size_t>(a)];
    double p = 1;
    for (std::int64_t s = 0; s < analysis.segments(); ++s)
      p = std::min(p, analysis.tell(s, a).adjusted);
    Cells row{
        text(result.bins.empty() ? result.name
                                       : result.name + " (" + result.bins + ")"),
        number(fmt::format("{}", result.values.size())),
        number(fmt::format("{}", result.known)),
        number(p_value(p, analysis.permutations))};
    for (std::size_t k = 0; k < most; ++k)
      row.push_back(text(
          k < result.best.size()
              ? fmt::format("{}: {}", result.best[k].segment,
                            percent(result.best[k].association.share))
              : ""));
    table.row(std::move(row));
  }
  return table.html(
      "Segments chosen on one half of the images; what they tell on the other half");
}

std::string best_units(const AttributeAnalysis& analysis) {
  HtmlTable table({text("value"), text("unit"), text("of its images"),
                   number("of the value's")});
  for (const UnitName& unit : analysis.values)
    if (unit.holds)
      table.row({text(value_name(analysis, unit)),
                 text(unit_name(analysis, unit)),
                 text(describe(unit)),
                 number(percent(unit.recall()))});
  return table.empty()
             ? "<p>No unit stands for a value on the other half.</p>\n"
             : table.html("The unit of each value, where it holds on the other half");
}

std::string unit_names(const AttributeAnalysis& analysis) {
  HtmlTable table({text("unit"), text("stands for"),
                   text("of its images")});
  std::size_t shown = 0, holding = 0;
  for (const UnitName& unit : analysis.names) {
    if (!unit.holds || ++holding > kNames) continue;
    ++shown;
    table.row({text(unit_name(analysis, unit)),
               text(value_name(analysis, unit)),
               text(describe(unit))});
  }
  if (holding == 0) return "";
  return fmt::format(
      "<details><summary>{} of {} have a name that holds{}</summary>\n{}</details>\n",
      holding, counted(std::ssize(analysis.names), "unit in use", "units in use"),
      shown < holding ? fmt::format("; the first {}", shown) : std::string(),
      table.html());
}

std::string redundancy(const AttributeAnalysis& analysis) {
  const std::int64_t count = analysis.segments();
  struct Pair {
    double shared;
    std::int64_t s, t;
  };
  std::vector<Pair> pairs;
  double sum = 0;
  for (std::int64_t s = 0; s < count; ++s)
    for (std::int64_t t = s + 1; t < count; ++t) {
      pairs.push_back({analysis.redundancy[static_cast<std::size_t>(s * count + t)], s, t});
      sum += pairs.back().shared;
    }
  if (pairs.empty()) return "";
  std::ranges::stable_sort(pairs, std::ranges::greater{}, &Pair::shared);
  HtmlTable table({text("segments"), number("both tell")});
  for (std::size_t i = 0; i < std::min(kPairs, pairs.size()); ++i)
    table.row({text(fmt::format("{} and {}", pairs[i].s, pairs[i].t)),
               number(percent(pairs[i].shared))});
  return fmt::format(
             "<p>Two segments tell the same, beyond chance, by {:.1f}\u202f% of what one "
             "tells on average, and by {:.1f}\u202f% at most.</p>\n",
             100 * sum / static_cast<double>(pairs.size()), 100 * pairs[0].shared) +
         table.html("The most redundant pairs, on the other half");
}

}  // namespace

std::string attribute_section(const AttributeAnalysis& analysis,
                              const std::string& id, const std::string& run) {
  std::string html = fmt::format(
      "<section id=\"{}\">\n<h2>Segments and attributes{}</h2>\n", html_escape(id),
      run.empty() ? "" : ": " + html_escape(run));
  html += summary(analysis) + heat_map(analysis) + best_segments(analysis);
  html += "<h3>What units stand for</h3>\n" + best_units(analysis) +
          unit_names(analysis);
  html += "<h3>Redundancy</h3>\n" + redundancy(analysis);
  for (const std::string& note : analysis.notes)
    html += fmt::format("<p class=\"note\">{}</p>\n", html_escape(note));
  return html + "</section>\n";
}

std::string_view attribute_styles() {
  static const std::string styles = [] {
    std::string css =
        "table.tells td, table.tells th { padding: .15rem .4rem; text-align: right; "
        "font-variant-numeric: tabular-nums; }\n"
        "table.tells thead th { vertical-align: bottom; height: 11rem; }\n"
        "table.tells thead span { writing-mode: vertical-rl; transform: rotate(180deg); "
        "max-height: 10.5rem; overflow: hidden; }\n"
        "table.tells caption { max-width: calc(100vw - 2rem); }\n"
        "table.tells { --tint: 36, 88, 197; }\n"
        "@media (prefers-color-scheme: dark) { table.tells { --tint: 134, 171, 255; } "
        ".tint-5, .tint-6 { color: var(--paper); } }\n"
        "@media print { table.tells { print-color-adjust: exact; } }\n";
    for (int i = 0; i < kTints; ++i)
      css += fmt::format(
          ".tint-{} {{ background: rgba(var(--tint), {:.2f});{} }}\n", i,
          0.06 + 0.94 * i / (kTints - 1), i >= 7 ? " color: var(--paper);" : "");
    return css;
  }();
  return styles;
}

}  // namespace music
