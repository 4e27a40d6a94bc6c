#include "tools/score_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/counted.h"

namespace music {
namespace {

std::string cell(std::optional<double> value) {
  return value ? fmt::format("{:.2f}", *value) : "-";
}

std::string own(const ScoreRow& row) {
  const auto deviation = row.deviation();
  return deviation ? fmt::format("{:.2f} ± {:.2f}", row.value(), *deviation)
                   : cell(row.value());
}

// fmt counts the bytes of "±" as one column each only in its own widths, so
// pads by hand: columns, not bytes.
std::string padded(const std::string& text, std::size_t width) {
  const auto columns = static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  return std::string(columns < width ? width - columns : 0, ' ') + text;
}

// "48 of 49": of all, those that could be read.
std::string images_of(const Json& data) {
  const std::string all = data["images"].dump();
  const std::string used = data.value("used", data["images"]).dump();
  return used == all ? all : used + " of " + all;
}

}  // namespace

std::string score_table(const ScoreRecord& r) {
  std::string settings;
  for (const auto& [key, value] : r.settings.items())
    settings += fmt::format("{}{} {}", settings.empty() ? "" : ", ", key,
                            value.is_string() ? value.get<std::string>()
                                              : value.dump());
  std::string out = fmt::format("protocol {} ({}): {}\n", r.protocol,
                                protocol_hash(r.protocol, r.settings), settings);
  for (const auto& [role, data] : r.data.items())
    if (data.contains("images"))
      out += fmt::format("{} {} image{}, {}\n", role, images_of(data),
                         images_of(data) == "1" ? "" : "s",
                         counted(data.value("classes", 0), "class", "classes"));
  std::size_t name = 5, score = 12;
  for (const auto& row : r.scores) {
    name = std::max(name, row.name.size());
    score = std::max(score, own(row).size());
  }
  out += fmt::format("\n{:<{}}  {}  {:>11}  {:>11}\n", "score", name,
                     padded("this encoder", score), "random init", "chance");
  for (const auto& row : r.scores)
    out += fmt::format("{:<{}}  {}  {:>11}  {:>11}{}\n", row.name, name,
                       padded(own(row), score), cell(row.random_initialisation),
                       cell(row.chance), row.unit == "%" ? "" : " " + row.unit);
  for (const auto& note : r.notes) out += fmt::format("note: {}\n", note);
  return out;
}

void report(const ScoreRecord& record, bool json,
            const std::optional<std::filesystem::path>& run) {
  if (run) write_record(record, *run);
  if (json)
    fmt::print("{}\n", to_json(record).dump(-1, ' ', false,
                                            Json::error_handler_t::replace));
  else
    fmt::print("{}", score_table(record));
}

}  // namespace music
