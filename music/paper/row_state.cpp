#include "music/paper/row_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/io/file.h"
#include "music/paper/table_text.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json read(const fs::path& path) {
  std::ifstream file(path);
  return Json::parse(file, nullptr, false);
}

void write(const fs::path& path, const Json& json) {
  FileWriter file(path);
  file.write(std::string_view(json.dump(2) + "\n"));
  file.commit();
}

fs::path row_file(const PaperTable& table, const PaperRow& row,
                  const std::string& out) {
  return fs::path(out) / "rows" / fmt::format("{}-{}.json", table.name(), row.id);
}

std::string string_at(const Json& json, const char* key) {
  if (!json.is_object()) return "";
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

void expect_results(const std::string& out, const PaperScale& scale) {
  const fs::path mark = fs::path(out) / "paper.json";
  std::error_code failed;
  if (fs::exists(mark, failed)) {
    const std::string found = string_at(read(mark), "scale");
    if (!found.empty() && found != scale.name)
      throw error(ExitCode::kUsage,
                  "[paper] {} has results of scale {}; expected another --out for {}",
                  out, found, scale.name);
  } else if (fs::is_directory(out) && !fs::is_empty(out, failed) &&
             !fs::is_directory(fs::path(out) / "runs", failed)) {
    throw error(ExitCode::kUsage,
                "[paper] {} is a folder of other things; expected a new one or one "
                "of music_paper", out);
  }
}

void open_results(const std::string& out, const PaperScale& scale) {
  expect_results(out, scale);
  std::error_code failed;
  for (const char* folder : {"runs", "scores", "rows"}) {
    fs::create_directories(fs::path(out) / folder, failed);
    if (failed)
      throw error(ExitCode::kUsage, "[paper] {}: {}", out, failed.message());
  }
  const fs::path mark = fs::path(out) / "paper.json";
  if (string_at(read(mark), "scale") != scale.name)
    write(mark, {{"version", 1}, {"scale", scale.name}});
}

StoredTable stored_table(const PaperTable& table, const std::string& out) {
  StoredTable stored;
  const Json json = read(fs::path(out) / (table.name() + ".json"));
  if (!json.is_object() || !json.contains("rows")) return stored;
  if (const auto seeds = json.find("seeds");
      seeds != json.end() && seeds->is_number_integer())
    stored.seeds = std::clamp(seeds->get<int>(), 1, kMaxSeeds);
  for (const PaperRow& row : table.rows)
    for (const Json& had : json["rows"])
      if (string_at(had, "id") == row.id)
        stored.rows.push_back(&row);
  return stored;
}

void write_row(const PaperTableResult& table, const PaperRowResult& row,
               const PaperPlace& place) {
  if (!row.row->reason.empty()) return;
  PaperTableResult alone{table.table, table.scale, table.seeds, {row}, {}, {}};
  const Json all = Json::parse(to_json(alone));
  const PaperUnit unit = make_unit(*table.table, *row.row, *table.scale, 0, place);
  write(row_file(*table.table, *row.row, place.out),
        {{"row", row.row->id},
         {"seeds", table.seeds},
         {"settings", deciding_settings(unit.config.value)},
         {"result", all["rows"][0]}});
}

std::string changes_of(const PaperTable& table, const PaperRow& row,
                       const PaperScale& scale, const PaperPlace& place) {
  const Json json = read(row_file(table, row, place.out));
  if (!json.is_object() || !row.reason.empty()) return "";
  const auto it = json.find("settings");
  if (it == json.end() || !it->is_string()) return "";
  const PaperUnit unit = make_unit(table, row, scale, 0, place);
  return fmt::format("{}", fmt::join(differences(it->get<std::string>(),
                                                 unit.config.value), ", "));
}

}  // namespace music
