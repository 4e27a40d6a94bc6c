#include "music/paper/table_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace music {
namespace {

using Json = nlohmann::ordered_json;

// Times and memory of small runs have small numbers.
std::string number_text(const PaperColumn& column, double v) {
  return column.measured() ? fmt::format("{:.3g}", v) : fmt::format("{:.1f}", v);
}

std::string ours_text(const PaperCell& cell) {
  if (!cell.ours.there()) return "-";
  std::string text = number_text(*cell.column, cell.ours.mean());
  if (const auto d = cell.ours.deviation())
    text += fmt::format(" +- {}", number_text(*cell.column, *d));
  if (!cell.ours.how.empty()) text += fmt::format(" {}", cell.ours.how);
  return text;
}

std::size_t columns_of(const std::string& utf8) {
  return static_cast<std::size_t>(std::count_if(
      utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Json optional(const std::optional<double>& v) { return v ? Json(*v) : Json(); }

std::vector<std::string> fields(const PaperLine& l) {
  return {l.row, l.metric, l.paper, l.ours, l.difference, l.band, l.verdict};
}

const std::vector<std::string> kHead = {"row",        "metric",   "paper", "ours",
                                        "difference", "expected", "verdict"};

}  // namespace

std::vector<PaperLine> lines_of(const PaperTableResult& table) {
  std::vector<PaperLine> lines;
  for (const PaperRowResult& row : table.rows)
    for (const PaperCell& cell : row.cells) {
      PaperLine line{&cell == &row.cells.front() ? row.row->label : "",
                     cell.column->name, number_text(*cell.column, cell.paper),
                     ours_text(cell), "", cell.band, cell.verdict};
      if (cell.ours.there() && !cell.column->measured())
        line.difference = fmt::format("{:+.1f}", cell.ours.mean() - cell.paper);
      lines.push_back(std::move(line));
    }
  return lines;
}

std::string heading(const PaperTableResult& table) {
  return fmt::format("Table {}: {} (scale {}, {} seed{})", table.table->number,
                     table.table->title, table.scale->name, table.seeds,
                     table.seeds == 1 ? "" : "s");
}

std::string tally(const PaperTableResult& table) {
  std::map<std::string, int> counts;
  for (const PaperRowResult& row : table.rows)
    for (const PaperCell& cell : row.cells) ++counts[cell.verdict];
  std::vector<std::string> parts;
  for (const auto& [verdict, n] : counts)
    parts.push_back(fmt::format("{} {}", n, verdict));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::string> notes_of(const PaperTableResult& table) {
  std::vector<std::pair<std::string, std::vector<std::string>>> notes;
  const auto add = [&](const std::string& note, const std::string& row) {
    for (auto& [text, rows] : notes)
      if (text == note) {
        if (rows.back() != row) rows.push_back(row);
        return;
      }
    notes.push_back({note, {row}});
  };
  for (const PaperRowResult& row : table.rows) {
    std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
    for (const PaperCell& cell : row.cells) {
      const std::string& why = cell.ours.there() ? cell.why : cell.ours.reason;
      if (why.empty()) continue;
      if (reasons.empty() || reasons.back().first != why) reasons.push_back({why, {}});
      reasons.back().second.push_back(cell.column->name);
    }
    for (const auto& [why, columns] : reasons)
      add(columns.size() == row.cells.size()
              ? why
              : fmt::format("{}: {}", fmt::join(columns, ", "), why), row.row->label);
    for (const std::string& note : row.notes) add(note, row.row->label);
  }
  std::vector<std::string> all = table.notes;
  for (const auto& [text, rows] : notes)
    all.push_back(rows.size() == table.rows.size() && rows.size() > 1
                      ? text
                      : fmt::format("{}: {}", fmt::join(rows, "; "), text));
  return all;
}

std::string to_terminal(const PaperTableResult& table) {
  std::vector<std::vector<std::string>> rows = {kHead};
  for (const PaperLine& line : lines_of(table)) rows.push_back(fields(line));
  std::vector<std::size_t> widths(kHead.size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(row[i]));
  std::string out = fmt::format("{}\n", heading(table));
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string fill(widths[i] - columns_of(row[i]), ' ');
      const bool right = i >= 2 && i <= 4;
      line += fmt::format(" {}{} ", right ? fill : row[i], right ? row[i] : fill);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += fmt::format("{}\n", line);
  }
  for (const PaperClaimResult& c : table.claims)
    out += fmt::format("  claim {}: {}{}\n", c.verdict, c.claim->text,
                       c.detail.empty() ? "" : fmt::format(" ({})", c.detail));
  for (const std::string& note : notes_of(table)) out += fmt::format("  note: {}\n", note);
  for (const std::string& change : table.scale->changes)
    out += fmt::format("  scale: {}\n", change);
  return out + fmt::format("  {}\n", tally(table));
}

std::string to_markdown(const PaperTableResult& table) {
  const auto cell = [](const std::string& text) {
    std::string safe;
    for (char c : text) {
      if (c == '|') safe += '\\';
      safe += c;
    }
    return safe;
  };
  std::string out = fmt::format("## {}\n\n{}.\n\n", heading(table),
                                table.table->caption);
  out += fmt::format("| {} |\n|---|---|--:|--:|--:|---|---|\n",
                     fmt::join(kHead, " | "));
  for (const PaperLine& line : lines_of(table)) {
    out += '|';
    for (const std::string& f : fields(line)) out += fmt::format(" {} |", cell(f));
    out += '\n';
  }
  if (!table.claims.empty()) {
    out += "\n| the paper says | here | |\n|---|---|---|\n";
    for (const PaperClaimResult& c : table.claims)
      out += fmt::format("| {} | {} | {} |\n", cell(c.claim->text), c.verdict,
                         c.detail);
  }
  out += fmt::format("\n{}.\n", tally(table));
  const auto notes = notes_of(table);
  if (!notes.empty()) out += "\nNotes:\n\n";
  for (const std::string& note : notes) out += fmt::format("- {}\n", note);
  out += fmt::format("\nScale {}: {}. {}\n", table.scale->name, table.scale->about,
                     table.scale->band.source);
  if (!table.scale->changes.empty()) out += "\n";
  for (const std::string& change : table.scale->changes) out += fmt::format("- {}\n", change);
  return out;
}

std::string to_json(const PaperTableResult& table) {
  Json rows = Json::array(), claims = Json::array();
  for (const PaperRowResult& r : table.rows) {
    Json cells = Json::array();
    for (const PaperCell& c : r.cells)
      cells.push_back(
          {{"metric", c.column->name},
           {"paper", c.paper},
           {"ours", c.ours.there() ? Json(c.ours.mean()) : Json()},
           {"deviation", optional(c.ours.deviation())},
           {"values", c.ours.values},
           {"how", c.ours.how},
           {"chance", optional(c.ours.chance)},
           {"random_initialisation", optional(c.ours.random)},
           {"expected", c.band},
           {"verdict", c.verdict},
           {"reason", c.ours.there() ? c.why : c.ours.reason}});
    rows.push_back({{"id", r.row->id},
                    {"label", r.row->label},
                    {"runs", r.units},
                    {"cells", std::move(cells)},
                    {"notes", r.notes}});
  }
  for (const PaperClaimResult& c : table.claims)
    claims.push_back({{"claim", c.claim->text},
                      {"verdict", c.verdict},
                      {"detail", c.detail}});
  const Json json = {{"version", 1},
                     {"table", table.table->number},
                     {"title", table.table->title},
                     {"scale", table.scale->name},
                     {"seeds", table.seeds},
                     {"changes", table.scale->changes},
                     {"band", table.scale->band.source},
                     {"rows", std::move(rows)},
                     {"claims", std::move(claims)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace music
