#include "music/paper/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Nothing where the file is missing, cut off or something else.
std::optional<Json> read_json(const std::string& path) {
  std::ifstream file(path);
  Json json = Json::parse(file, nullptr, false);
  if (!file.is_open() || json.is_discarded() || !json.is_object())
    return std::nullopt;
  return json;
}

std::optional<double> number_at(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_number()) return std::nullopt;
  return it->get<double>();
}

// What programs print with --json, as far as it is read here.
bool is_record(const Json& json) {
  const auto scores = json.find("scores");
  if (scores == json.end() || !scores->is_array()) return false;
  return std::all_of(scores->begin(), scores->end(), [](const Json& score) {
    return score.is_object() && score.contains("name") && score["name"].is_string();
  });
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
  return v[v.size() / 2];
}

// Hours for 100 epochs, by the steps of a finished run. Its first steps are
// left out: they touch new memory.
std::optional<double> measured_hours(const PaperUnit& unit) {
  std::ifstream file(fs::path(unit.run) / "metrics.jsonl");
  std::vector<double> rates;
  std::int64_t steps = 0;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step")) continue;
    const auto rate = number_at(json, "images_per_s");
    if (number_at(json, "epoch") == 0.0) ++steps;
    if (rate && *rate > 0) rates.push_back(*rate);
  }
  if (rates.size() > 5) rates.erase(rates.begin(), rates.begin() + 3);
  if (rates.empty() || steps == 0) return std::nullopt;
  const double images =
      static_cast<double>(steps * unit.config.value.train.batch);
  return 100 * images / median(rates) / 3600;
}

PaperNumber measured(const PaperColumn& column, const PaperUnit& unit) {
  PaperNumber n;
  if (is_trained(unit)) {
    n.how = "measured";
    const PaperUsage usage = read_usage(unit);
    if (column.evaluation == "memory" && usage.peak_gib > 0)
      n.values.push_back(usage.peak_gib);
    else if (column.evaluation == "time")
      if (const auto hours = measured_hours(unit)) n.values.push_back(*hours);
    if (n.there()) return n;
    n.reason = "the run was not started by music_paper: its memory is not known";
    if (column.evaluation == "time") n.reason = "the run has no metrics.jsonl";
    return n;
  }
  const auto plan = read_json(unit.planned());
  if (!plan) return n;
  n.how = "planned";
  if (column.evaluation == "memory") {
    if (const auto mib = number_at(*plan, "total_mib"))
      n.values.push_back(*mib / 1024);
  } else if (plan->contains("step") && (*plan)["step"].is_object()) {
    const auto ms = number_at((*plan)["step"], "step_ms");
    const std::int64_t batch = unit.config.value.train.batch;
    const std::int64_t steps = (unit.images + batch - 1) / batch;
    if (ms && steps > 0)
      n.values.push_back(100.0 * static_cast<double>(steps) * *ms / 3.6e6);
  }
  return n;
}

// A run on a machine of its own keeps at least a core busy.
constexpr double kBusy = 0.8;

// Of the runs that music_paper has seen, in cores.
double least_share(const std::vector<PaperUnit>& units) {
  double least = 1e9;
  for (const PaperUnit& unit : units) {
    const PaperUsage u = read_usage(unit);
    if (u.seconds > 0) least = std::min(least, u.processor_seconds / u.seconds);
  }
  return least;
}

PaperNumber scored(const PaperColumn& column, const PaperRow& row,
                   const std::string& path) {
  PaperNumber n;
  const auto record = read_json(path);
  if (!record || !is_record(*record)) return n;
  const bool scratch = std::count(row.from_scratch.begin(),
                                  row.from_scratch.end(), column.name) > 0;
  for (const Json& score : (*record)["scores"]) {
    if (score["name"] != column.score) continue;
    n.chance = number_at(score, "chance");
    n.random = number_at(score, "random_initialisation");
    const auto value = scratch ? n.random : number_at(score, "value");
    if (value) n.values.push_back(*value * column.times);
    if (scratch) n.random.reset();
  }
  if (!n.there())
    n.reason = fmt::format("the record has no {}{}", column.score,
                           scratch ? " of random weights" : "");
  const auto images = Json::json_pointer("/data/test/fingerprint");
  if (record->contains(images) && (*record)[images].is_string())
    n.images = (*record)[images];
  return n;
}

PaperCell make_cell(const PaperColumn& column, const PaperRow& row,
                    const PaperScale& scale,
                    const std::vector<PaperUnit>& units, const PaperPlace& place,
                    const PaperFailures& failures) {
  PaperCell cell{&column, row.numbers.at(column.name), {}, "", "", "", false};
  cell.ours.reason = row.reason;
  const auto failure = [&](const std::string& of) {
    cell.failed = cell.failed || failures.failed.contains(of);
    const auto it = failures.reasons.find(of);
    return it == failures.reasons.end() ? std::string() : it->second;
  };
  for (const PaperUnit& unit : units) {
    PaperNumber one;
    std::string reason;
    if (column.measured()) {
      one = measured(column, unit);
      reason = failure(unit.run);
    } else {
      const PaperScoring s =
          make_scoring(column.evaluation, row, scale, unit, place);
      one = scored(column, row, s.record);
      reason = failure(s.record);
      if (reason.empty() && s.needs_run && !is_trained(unit))
        reason = failure(unit.run);
      if (reason.empty()) reason = s.missing;
    }
    if (one.reason.empty() && !one.there())
      one.reason = reason.empty() ? "not run" : reason;
    auto& all = cell.ours;
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
    if (one.chance) all.chance = one.chance;
    if (one.random) all.random = one.random;
    if (!one.images.empty()) all.images = one.images;
    if (all.how.empty() || one.how == "planned") all.how = one.how;
    if (all.reason.empty()) all.reason = one.reason;
  }
  judge(cell, scale);
  return cell;
}

}  // namespace

double PaperNumber::mean() const {
  double sum = 0;
  for (double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

std::optional<double> PaperNumber::deviation() const {
  if (values.size() < 2) return std::nullopt;
  double sum = 0;
  for (double v : values) sum += (v - mean()) * (v - mean());
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

bool has_record(const std::string& path) {
  const auto json = read_json(path);
  return json && is_record(*json);
}

bool is_trained(const PaperUnit& unit) {
  return fs::is_regular_file(fs::path(unit.run) / "encoder.safetensors");
}

PaperUsage read_usage(const PaperUnit& unit) {
  PaperUsage usage;
  if (const auto json = read_json(unit.measured())) {
    usage.seconds = number_at(*json, "seconds").value_or(0);
    usage.processor_seconds = number_at(*json, "processor_seconds").value_or(0);
    usage.peak_gib = number_at(*json, "peak_gib").value_or(0);
  }
  return usage;
}

void write_usage(const PaperUnit& unit, const PaperUsage& usage) {
  FileWriter file(unit.measured());
  const Json json = {{"seconds", usage.seconds},
                     {"processor_seconds", usage.processor_seconds},
                     {"peak_gib", usage.peak_gib}};
  file.write(std::string_view(json.dump() + "\n"));
  file.commit();
}

PaperTableResult read_table_result(const PaperTable& table,
                                   const PaperScale& scale,
                                   const std::vector<const PaperRow*>& rows,
                                   int seeds, const PaperPlace& place,
                                   const PaperFailures& failures) {
  PaperTableResult result{&table, &scale, seeds, {}, {}, {}};
  std::map<std::string, std::string> images;  // by evaluation
  for (const PaperRow* row : rows) {
    PaperRowResult r;
    r.row = row;
    std::vector<PaperUnit> units;
    for (int seed = 0; seed < seeds && row->reason.empty(); ++seed) {
      units.push_back(make_unit(table, *row, scale, static_cast<std::uint64_t>(seed), place));
      r.units.push_back(units.back().identity);
    }
    if (!row->note.empty()) r.notes.push_back(row->note);
    r.busy = least_share(units);
    for (const PaperColumn& column : table.columns) {
      if (!row->numbers.contains(column.name)) continue;
      r.cells.push_back(
          make_cell(column, *row, scale, units, place, failures));
      const PaperCell& cell = r.cells.back();
      r.failed = r.failed || (cell.failed && !cell.ours.there());
      if (column.evaluation == "time" && cell.ours.how == "measured" &&
          r.busy < kBusy)
        r.notes.push_back(
            fmt::format("measured on a busy machine: the run had {:.0f} % of a "
                        "core", 100 * r.busy));
      if (cell.ours.there() && !cell.ours.reason.empty())
        r.notes.push_back(fmt::format("{}: {} of {} seeds; {}", column.name,
                                      cell.ours.values.size(), seeds,
                                      cell.ours.reason));
      if (cell.ours.images.empty()) continue;
      std::string& seen = images[column.evaluation];
      if (seen.empty()) seen = cell.ours.images;
      if (seen != cell.ours.images)
        r.notes.push_back(fmt::format(
            "{}: scored on other images than the rows before", column.name));
    }
    result.rows.push_back(std::move(r));
  }
  for (const PaperClaim& claim : table.claims)
    result.claims.push_back(judge(claim, result));
  return result;
}

}  // namespace music
