#include "music/paper/declaration.h"

#include <toml++/toml.h>

#include <algorithm>
#include <list>
#include <set>

#include "engine/core/error.h"
#include "music/config/config_keys.h"

namespace music {
namespace {

std::string place(const std::string& file, const toml::node& node) {
  return fmt::format("{}:{}", file, node.source().begin.line);
}

// A TOML table that is read key by key; what nobody asked for is an error.
class TomlReader {
 public:
  TomlReader(const toml::table& table, std::string file)
      : table_(&table), file_(std::move(file)) {}

  std::string text(const char* key, bool required = true);
  double number(const char* key, double otherwise);
  std::int64_t integer(const char* key);
  std::vector<std::string> texts(const char* key);
  PaperSettings settings(const char* key);  // in the order of the file's keys
  std::map<std::string, double> numbers(const char* key);
  std::map<std::string, std::string> map(const char* key);
  std::vector<std::string> names(const char* key);  // of a table's keys
  TomlReader within(const std::string& key);  // a table that has to be there
  std::vector<TomlReader> list(const char* key);  // each of [[key]]

  // Throws for a key that was not read.
  void done() const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const toml::node* find(const char* key);
  const toml::table* table(const char* key);
  const toml::table* table_;
  std::string file_;
  std::set<std::string> read_;
};

// As a flag would have it: arrays with commas.
std::string text_of(const toml::node& node, const std::string& where) {
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* v = node.as_integer()) return fmt::to_string(v->get());
  if (const auto* v = node.as_floating_point()) return fmt::to_string(v->get());
  if (const auto* v = node.as_boolean()) return v->get() ? "true" : "false";
  std::string all;
  const auto* array = node.as_array();
  if (array)
    for (const toml::node& item : *array) {
      if (!all.empty()) all += ',';
      all += text_of(item, where);
    }
  if (!array)
    throw error(ExitCode::kUsage, "[paper] {}: expected a value", where);
  return all;
}

void TomlReader::fail(const std::string& message) const {
  throw error(ExitCode::kUsage, "[paper] {}: {}", place(file_, *table_), message);
}

const toml::node* TomlReader::find(const char* key) {
  read_.insert(key);
  return table_->get(key);
}

const toml::table* TomlReader::table(const char* key) {
  const toml::node* node = find(key);
  if (node && !node->as_table())
    throw error(ExitCode::kUsage, "[paper] {}: {} expects a table",
                place(file_, *node), key);
  return node ? node->as_table() : nullptr;
}

std::string TomlReader::text(const char* key, bool required) {
  const toml::node* node = find(key);
  if (!node && !required) return "";
  if (!node) fail(fmt::format("{} is missing", key));
  const auto* value = node->as_string();
  if (!value || (required && value->get().empty()))
    throw error(ExitCode::kUsage, "[paper] {}: {} expects text",
                place(file_, *node), key);
  return value->get();
}

double TomlReader::number(const char* key, double otherwise) {
  const toml::node* node = find(key);
  if (!node) return otherwise;
  const auto value = node->value<double>();
  if (!value)
    throw error(ExitCode::kUsage, "[paper] {}: {} expects a number",
                place(file_, *node), key);
  return *value;
}

std::int64_t TomlReader::integer(const char* key) {
  const toml::node* node = find(key);
  if (!node || !node->as_integer())
    fail(fmt::format("{} expects an integer", key));
  return node->as_integer()->get();
}

std::vector<std::string> TomlReader::texts(const char* key) {
  const toml::node* node = find(key);
  std::vector<std::string> all;
  if (!node) return all;
  const auto* array = node->as_array();
  if (!array)
    throw error(ExitCode::kUsage, "[paper] {}: {} expects a list of texts",
                place(file_, *node), key);
  for (const toml::node& item : *array)
    all.push_back(text_of(item, place(file_, item)));
  return all;
}

PaperSettings TomlReader::settings(const char* key) {
  PaperSettings all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from) {
      const std::string k(name.str());
      const std::string where = place(file_, node);
      if (!find_config_key(k))
        throw error(ExitCode::kUsage, "[paper] {}: unknown key {}", where, k);
      all.emplace_back(k, text_of(node, where));
    }
  return all;
}

std::map<std::string, double> TomlReader::numbers(const char* key) {
  std::map<std::string, double> all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from) {
      const auto value = node.value<double>();
      if (!value)
        throw error(ExitCode::kUsage, "[paper] {}: {} expects a number",
                    place(file_, node), name.str());
      all[std::string(name.str())] = *value;
    }
  return all;
}

std::map<std::string, std::string> TomlReader::map(const char* key) {
  std::map<std::string, std::string> all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from)
      all[std::string(name.str())] = text_of(node, place(file_, node));
  return all;
}

std::vector<std::string> TomlReader::names(const char* key) {
  std::vector<std::string> all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from) all.emplace_back(name.str());
  return all;
}

TomlReader TomlReader::within(const std::string& key) {
  const toml::table* from = table(key.c_str());
  if (!from) fail(fmt::format("{} is missing", key));
  return TomlReader(*from, file_);
}

std::vector<TomlReader> TomlReader::list(const char* key) {
  std::vector<TomlReader> all;
  const toml::node* node = find(key);
  if (!node) return all;
  const auto* array = node->as_array();
  if (!array) fail(fmt::format("{} expects [[{}]]", key, key));
  for (const toml::node& item : *array) {
    if (!item.as_table()) fail(fmt::format("{} expects [[{}]]", key, key));
    all.emplace_back(*item.as_table(), file_);
  }
  return all;
}

void TomlReader::done() const {
  for (const auto& [name, node] : *table_)
    if (!read_.contains(std::string(name.str())))
      throw error(ExitCode::kUsage, "[paper] {}: unknown key {}",
                  place(file_, node), name.str());
}

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
      column.fail(fmt::format("{} stands twice", c.name));
    columns.push_back(c.name);
    t.columns.push_back(std::move(c));
  }
  for (TomlReader row : file.list("row")) {
    PaperRow r = read_row(row);
    if (r.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") !=
        std::string::npos)  // files are called so
      row.fail(fmt::format("id \"{}\": expected small letters, digits, - and _", r.id));
    if (std::count(rows.begin(), rows.end(), r.id))
      row.fail(fmt::format("{} stands twice", r.id));
    if (r.numbers.empty()) row.fail(fmt::format("{} has no number of the paper", r.id));
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

// What `over` has in place of what `table` has, tables key by key.
void merge(toml::table& table, const toml::table& over) {
  for (const auto& [key, node] : over) {
    toml::table* below = table.get_as<toml::table>(key.str());
    if (below && node.as_table())
      merge(*below, *node.as_table());
    else
      table.insert_or_assign(key.str(), node);
  }
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
    if (!find_config_key(key)) from.fail(fmt::format("unknown key {}", key));
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
      reader.fail(fmt::format("{} expects a program or a reason", evaluation));
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
    std::list<toml::table> merged;
    for (const std::string& scale : order) {
      TomlReader from = file.within(scale);
      const std::string base = from.text("from", false);
      if (!base.empty()) {
        file.within(base);
        merged.push_back(*toml.get_as<toml::table>(base));
        merge(merged.back(), *toml.get_as<toml::table>(scale));
        from = TomlReader(merged.back(), "scales.toml");
        from.text("from");
      }
      paper.scales.push_back(read_scale(scale, from));
    }
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

}  // namespace music
