#include "music/paper/declaration.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "music/config/config_keys.h"
#include "music/paper/toml_reader.h"

namespace music {
namespace {

toml::table parse_text(const std::string& name, const std::string& text) {
  try {
    return toml::parse(text, name + ".toml");
  } catch (const toml::parse_error& e) {
    throw error(ExitCode::kUsage, "[paper] {}.toml:{}: {}", name,
                e.source().begin.line, e.description());
  }
}

PaperRow read_row(TomlReader row) {
  PaperRow r;
  r.id = row.text("id");
  r.label = row.text("label");
  r.reason = row.text("reason", false);
  r.note = row.text("note", false);
  r.preset = row.text("preset", r.reason.empty());
  r.family = row.text("family", false);
  if (r.family.empty()) r.family = "imagenet";
  r.settings = row.settings("set");
  r.numbers = row.numbers("paper");
  r.from_scratch = row.texts("from_scratch");
  row.done();
  return r;
}

// Every name of a list is one of the known.
void expect_known(const TomlReader& at, const std::vector<std::string>& names,
                  const std::vector<std::string>& known, const char* what) {
  for (const std::string& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      at.fail(fmt::format("{} is no {}", name, what));
}

PaperTable read_table(const std::string& name, const toml::table& toml) {
  TomlReader file(toml, name + ".toml");
  PaperTable t;
  t.number = static_cast<int>(file.integer("number"));
  if (t.name() != name)
    file.fail(fmt::format("number = {}, expected {}.toml", t.number, t.name()));
  t.title = file.text("title");
  t.caption = file.text("caption");
  std::vector<std::string> columns, rows;
  for (TomlReader column : file.list("column")) {
    PaperColumn c{column.text("name"), column.text("evaluation"),
                  column.text("score", false), column.number("times", 1)};
    if (c.score.empty()) c.score = c.name;
    column.done();
    if (std::count(columns.begin(), columns.end(), c.name))
      column.fail(c.name + " stands twice");
    columns.push_back(c.name);
    t.columns.push_back(std::move(c));
  }
  for (TomlReader row : file.list("row")) {
    PaperRow r = read_row(row);
    if (std::count(rows.begin(), rows.end(), r.id))
      row.fail(r.id + " stands twice");
    if (r.numbers.empty()) row.fail(r.id + " has no number of the paper");
    for (const auto& [column, number] : r.numbers)
      expect_known(row, {column}, columns, "column");
    expect_known(row, r.from_scratch, columns, "column");
    rows.push_back(r.id);
    t.rows.push_back(std::move(r));
  }
  for (TomlReader claim : file.list("claim")) {
    PaperClaim c{claim.text("text"), claim.text("column"), claim.texts("over"),
                 claim.texts("under")};
    claim.done();
    expect_known(claim, {c.column}, columns, "column");
    expect_known(claim, c.over, rows, "row");
    expect_known(claim, c.under, rows, "row");
    t.claims.push_back(std::move(c));
  }
  file.done();
  return t;
}

PaperFamily read_family(TomlReader from) {
  PaperFamily f;
  f.data = from.text("data");
  f.base = from.text("base", false);
  f.images = static_cast<std::int64_t>(from.number("images", 0));
  f.set = from.settings("set");
  f.own = from.texts("own");
  for (const std::string& method : from.names("method"))
    f.methods[method] = from.within("method").settings(method.c_str());
  for (const std::string& key : from.names("replace"))
    f.replace[key] = from.within("replace").map(key.c_str());
  std::vector<std::string> keys = f.own;
  for (const auto& [key, values] : f.replace) keys.push_back(key);
  for (const std::string& key : keys)
    if (!find_config_key(key)) from.fail("unknown key " + key);
  from.done();
  return f;
}

PaperScale read_scale(const std::string& name, TomlReader from) {
  PaperScale s;
  s.name = name;
  s.about = from.text("about");
  s.changes = from.texts("changes");
  s.planner = from.texts("planner");
  for (const std::string& family : from.names("family"))
    s.families[family] = read_family(from.within("family").within(family));
  for (const std::string& evaluation : from.names("evaluate")) {
    TomlReader reader = from.within("evaluate").within(evaluation);
    PaperEvaluation e{reader.text("reason", false), reader.text("program", false),
                      reader.texts("arguments")};
    reader.done();
    if (e.reason.empty() == e.program.empty())
      reader.fail(evaluation + " expects a program or a reason");
    s.evaluations[evaluation] = std::move(e);
  }
  TomlReader b = from.within("band");
  s.band.within = b.numbers("within");
  s.band.margin = b.number("margin", 0);
  s.band.noise = b.number("noise", 0);
  s.band.measured_noise = b.number("measured_noise", 0);
  s.band.source = b.text("source");
  b.done();
  from.done();
  return s;
}

}  // namespace

std::string PaperTable::name() const { return fmt::format("table{:02}", number); }

const PaperTable& Paper::table(int number) const {
  for (const PaperTable& t : tables)
    if (t.number == number) return t;
  std::vector<int> known;
  for (const PaperTable& t : tables) known.push_back(t.number);
  throw error(ExitCode::kUsage, "[paper] no table {}; expected {} or all",
              number, fmt::join(known, ", "));
}

const PaperScale& Paper::scale(const std::string& name) const {
  std::vector<std::string> known;
  for (const PaperScale& s : scales) {
    if (s.name == name) return s;
    known.push_back(s.name);
  }
  throw error(ExitCode::kUsage, "[paper] unknown scale \"{}\"{}; expected one of {}",
              name, suggestion(name, known), fmt::join(known, ", "));
}

Paper parse_paper(const std::map<std::string, std::string>& texts) {
  Paper paper;
  for (const auto& [name, text] : texts) {
    const toml::table toml = parse_text(name, text);
    if (name != "scales") {
      paper.tables.push_back(read_table(name, toml));
      continue;
    }
    TomlReader file(toml, "scales.toml");
    paper.roles = file.map("roles");
    const std::vector<std::string> order = file.texts("scales");
    for (const std::string& scale : order)
      paper.scales.push_back(read_scale(scale, file.within(scale)));
    file.done();
  }
  if (paper.scales.empty())
    throw error(ExitCode::kUsage, "[paper] no scales.toml with scales");
  std::sort(paper.tables.begin(), paper.tables.end(),
            [](const PaperTable& a, const PaperTable& b) {
              return a.number < b.number;
            });
  return paper;
}

std::map<std::string, std::string> read_paper(const std::string& folder) {
  std::map<std::string, std::string> texts;
  std::error_code failed;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder, failed)) {
    if (entry.path().extension() != ".toml") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    texts[entry.path().stem().string()] = text.str();
  }
  if (failed || texts.empty())
    throw error(ExitCode::kUsage,
                "[paper] {}: expected a folder with scales.toml and tables",
                folder);
  return texts;
}

}  // namespace music
