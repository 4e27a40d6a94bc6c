// Scores, configuration and system as tables.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/core/counted.h"
#include "music/report/html.h"
#include "music/report/sections.h"

namespace music {
namespace {

using Cell = HtmlTable::Cell;

std::string with_unit(double value, const std::string& unit) {
  if (!std::isfinite(value)) return "not a number";
  return fmt::format("{:.2f}{}{}", value, unit.empty() ? "" : " ", unit);
}

Cell optional_number(const std::optional<double>& value) {
  return HtmlTable::number(value ? fmt::format("{:.2f}", *value) : "–");
}

struct ScoreRow {
  const RunSummary* run;
  const RunScores* record;
};

// Records of one protocol, of the same settings and images, stand together.
std::vector<std::vector<ScoreRow>> comparable(const Runs& runs) {
  std::vector<std::vector<ScoreRow>> groups;
  for (const RunSummary& run : runs)
    for (const RunScores& record : run.scores) {
      const auto same = [&](const std::vector<ScoreRow>& group) {
        const RunScores& first = *group.front().record;
        return first.protocol == record.protocol && first.hash == record.hash &&
               first.fingerprint == record.fingerprint;
      };
      const auto group = std::ranges::find_if(groups, same);
      if (group != groups.end())
        group->push_back({&run, &record});
      else
        groups.push_back({{&run, &record}});
    }
  std::ranges::stable_sort(
      groups, {}, [](const auto& g) { return g.front().record->protocol; });
  return groups;
}

std::string score_group(const std::vector<ScoreRow>& group, bool several) {
  const RunScores& first = *group.front().record;
  const bool deviates = std::ranges::any_of(group, [](const ScoreRow& row) {
    return std::ranges::any_of(row.record->scores, [](const ScoreLine& s) {
      return s.deviation.has_value();
    });
  });
  std::vector<Cell> head = {HtmlTable::text("score")};
  if (several) head.push_back(HtmlTable::text("run"));
  head.push_back(HtmlTable::number("value"));
  if (deviates) head.push_back(HtmlTable::number("deviation"));
  for (const char* name : {"chance", "random initialisation"})
    head.push_back(HtmlTable::number(name));
  HtmlTable table(head);
  std::vector<std::string> names;
  for (const ScoreRow& row : group)
    for (const ScoreLine& s : row.record->scores)
      if (std::ranges::find(names, s.name) == names.end())
        names.push_back(s.name);
  for (const std::string& name : names)
    for (const ScoreRow& row : group)
      for (const ScoreLine& s : row.record->scores) {
        if (s.name != name) continue;
        std::vector<Cell> cells = {HtmlTable::text(name)};
        if (several) cells.push_back(HtmlTable::text(row.run->label));
        cells.push_back(HtmlTable::number(with_unit(s.value, s.unit)));
        if (deviates) cells.push_back(optional_number(s.deviation));
        cells.push_back(optional_number(s.chance));
        cells.push_back(optional_number(s.random_initialisation));
        table.row(std::move(cells));
      }
  std::string out =
      "<h3>" + html_escape(first.protocol) + "</h3>\n" +
      table.html(fmt::format(
          "protocol {} {}; {}{}", first.protocol, first.hash, first.data,
          first.seeds > 1 ? fmt::format("; {} seeds", first.seeds) : ""));
  std::set<std::string> told;
  for (const ScoreRow& row : group)
    for (const std::string& note : row.record->notes)
      if (told.insert(note).second)
        out += "<p class=\"note\">" + html_escape(note) + "</p>\n";
  out += "<details><summary>settings of the protocol</summary><p><code>" +
         html_escape(first.settings) + "</code></p>";
  for (const ScoreRow& row : group)
    out += fmt::format("<p class=\"note\">{}: {} {}, {}, {:.0f} s</p>",
                       html_escape(row.run->label),
                       html_escape(row.record->program),
                       html_escape(row.record->version),
                       html_escape(row.record->compute), row.record->seconds);
  return out + "</details>\n";
}

// All keys of the runs, in the order of the first that has each.
std::vector<std::string> keys_of(const Runs& runs) {
  std::vector<std::string> keys;
  std::set<std::string> seen;
  for (const RunSummary& run : runs)
    for (const RunSetting& s : run.settings)
      if (seen.insert(s.key).second) keys.push_back(s.key);
  return keys;
}

const RunSetting* find(const RunSummary& run, const std::string& key) {
  const auto it = std::ranges::find(run.settings, key, &RunSetting::key);
  return it == run.settings.end() ? nullptr : &*it;
}

std::vector<Cell> run_heads(const char* first, const Runs& runs) {
  std::vector<Cell> head = {HtmlTable::text(first)};
  for (const RunSummary& run : runs) head.push_back(HtmlTable::text(run.label));
  return head;
}

std::string differences_table(const Runs& runs) {
  HtmlTable table(run_heads("setting", runs));
  for (const std::string& key : keys_of(runs)) {
    if (key == "train.out") continue;  // differs always
    std::vector<Cell> cells = {HtmlTable::text(key)};
    std::set<std::string> values;
    for (const RunSummary& run : runs) {
      const RunSetting* s = find(run, key);
      cells.push_back(HtmlTable::text(s ? s->value : "–"));
      values.insert(s ? s->value : "–");
    }
    if (values.size() > 1) table.row(std::move(cells));
  }
  return table.empty() ? "<p>The runs have the same settings.</p>\n"
                       : table.html("what differs between the runs");
}

std::string settings_table(const RunSummary& run, bool all) {
  HtmlTable table({HtmlTable::text("setting"), HtmlTable::text("value"),
                   HtmlTable::text("from")});
  for (const RunSetting& s : run.settings)
    if (all || !s.origin.starts_with("default"))
      table.row({HtmlTable::text(s.key), HtmlTable::text(s.value),
                 HtmlTable::text(s.origin)});
  return table.empty() ? "" : table.html(all ? "" : "what is not a default");
}

}  // namespace

std::string score_tables(const Runs& runs) {
  std::string out;
  const auto groups = comparable(runs);
  for (const auto& group : groups) out += score_group(group, runs.size() > 1);
  std::map<std::string, int> protocols;
  for (const auto& group : groups) ++protocols[group.front().record->protocol];
  const bool unlike = std::ranges::any_of(
      protocols, [](const auto& p) { return p.second > 1; });
  if (unlike)
    out =
        "<p class=\"warning\">Tables of one protocol that stand apart differ "
        "in its "
        "settings or in the images: their numbers do not compare.</p>\n" +
        out;
  return out;
}

std::string configuration(const Runs& runs) {
  std::string out;
  if (runs.size() > 1 && !keys_of(runs).empty()) out = differences_table(runs);
  for (const RunSummary& run : runs) {
    if (run.settings.empty()) continue;
    if (runs.size() == 1) out += settings_table(run, false);
    out += "<details><summary>all settings" +
           (runs.size() > 1 ? " of " + html_escape(run.label) : std::string()) +
           "</summary>" + settings_table(run, true) + "</details>\n";
  }
  for (const RunSummary& run : runs)
    if (!run.metrics.command.empty())
      out += "<p class=\"note\">" + html_escape(run.label) + ": <code>" +
             html_escape(run.metrics.command) + "</code></p>\n";
  return out;
}

std::string system_table(const Runs& runs) {
  HtmlTable table(run_heads("", runs));
  const auto row = [&](const char* name, auto&& value) {
    std::vector<Cell> cells = {HtmlTable::text(name)};
    bool any = false;
    for (const RunSummary& run : runs) {
      const std::string text = value(run);
      any = any || !text.empty();
      cells.push_back(HtmlTable::text(text.empty() ? "–" : text));
    }
    if (any) table.row(std::move(cells));
  };
  row("images a second, median", [](const RunSummary& r) {
    const double v = r.metrics.images_per_second;
    return v > 0 ? fmt::format("{:.4g}", v) : std::string();
  });
  row("time of training", [](const RunSummary& r) {
    const double v = r.metrics.curves.last_seconds();
    return v > 0 ? fmt::format("{:.1f} min", v / 60) : std::string();
  });
  row("waiting for images, median share of a step", [](const RunSummary& r) {
    return r.metrics.curves.find("data_wait")
               ? fmt::format("{:.2g} %", 100 * r.metrics.data_wait)
               : std::string();
  });
  row("version", [](const RunSummary& r) { return r.metrics.version; });
  std::vector<std::string> facts;
  for (const RunSummary& run : runs)
    for (const auto& [fact, value] : run.system)
      if (std::ranges::find(facts, fact) == facts.end()) facts.push_back(fact);
  for (const std::string& fact : facts)
    row(fact.c_str(), [&](const RunSummary& r) {
      const auto it = std::ranges::find(
          r.system, fact, &std::pair<std::string, std::string>::first);
      return it == r.system.end() ? std::string() : it->second;
    });
  return table.empty() ? "" : table.html();
}

}  // namespace music
