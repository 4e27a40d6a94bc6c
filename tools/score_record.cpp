#include "tools/score_record.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/io/file.h"
#include "music/eval/fingerprint.h"
#include "music/files/append_file.h"
#include "music/files/build_info.h"

namespace music {
namespace {

void add(Xxh3& hash, std::string_view text) {
  hash.update(std::as_bytes(std::span(text.data(), text.size())));
  hash.update(std::as_bytes(std::span("", 1)));  // ends it: "ab","c" != "a","bc"
}

// Numbers that JSON does not have become null.
Json number(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json();
}

}  // namespace

double ScoreRow::value() const {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

std::optional<double> ScoreRow::deviation() const {
  if (values.size() < 2) return std::nullopt;
  const double mean = value();
  double sum = 0;
  for (const double v : values) sum += (v - mean) * (v - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::string protocol_hash(const std::string& id, const Json& settings) {
  Xxh3 hash;
  add(hash, id);
  add(hash, nlohmann::json(settings).dump());  // sorts the keys
  return hash.digest().xxh3_128.substr(0, 16);
}

Json describe_data(const data::Dataset& dataset, const std::string& path) {
  const std::int64_t n = dataset.size();
  return {{"path", path},
          {"images", n},
          {"used", n},
          {"classes", dataset.classes().size()},
          {"fingerprint", data_fingerprint(dataset)}};
}

void tell_left_out(ScoreRecord& record, const std::string& role,
                   const std::string& which, const LeftOut& left_out) {
  if (left_out.count == 0) return;
  Json& data = record.data.at(role);
  const auto images = data.at("images").get<std::int64_t>();
  data["used"] = images - left_out.count;
  data["left_out"] = Json::array();
  for (const data::BadSample& bad : left_out.first)
    data["left_out"].push_back({{"name", bad.name}, {"reason", bad.reason}});
  record.notes.push_back(describe(left_out, images, which));
  spdlog::warn("[eval] {}", record.notes.back());
}

Json describe_encoder(const EncoderWeights& weights) {
  Json json = {{"path", weights.report.file},
               {"hash", weights.hash},
               {"model", weights.report.model}};
  if (!weights.doubts.empty()) json["looks_random"] = weights.doubts;
  if (!weights.misfits.empty()) json["misfits"] = weights.misfits;
  return json;
}

Json to_json(const ScoreRecord& r) {
  Json scores = Json::array();
  for (const auto& row : r.scores)
    scores.push_back({{"name", row.name},
                      {"unit", row.unit},
                      {"value", number(row.value())},
                      {"deviation", number(row.deviation())},
                      {"values", row.values},
                      {"chance", number(row.chance)},
                      {"random_initialisation",
                       number(row.random_initialisation)}});
  return {{"record", 1},
          {"program", r.program},
          {"version", build_info().describe()},
          {"protocol", {{"id", r.protocol},
                        {"hash", protocol_hash(r.protocol, r.settings)},
                        {"settings", r.settings}}},
          {"encoder", r.encoder},
          {"data", r.data},
          {"seeds", r.seeds},
          {"scores", scores},
          {"notes", r.notes},
          {"compute", r.compute},
          {"processes", r.processes},
          {"seconds", r.seconds}};
}

void write_record(const ScoreRecord& record,
                  const std::filesystem::path& run) try {
  const auto folder = run / "eval";
  std::filesystem::create_directories(folder);
  const auto dump = [json = to_json(record)](int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  FileWriter file(folder / (record.protocol + ".json"));
  file.write(dump(2));
  file.commit();
  AppendFile(folder / "scores.jsonl").append(dump(-1));
} catch (const std::exception& e) {
  spdlog::warn("[score] {} is not written: {}; the score is printed only",
               (run / "eval" / (record.protocol + ".json")).string(), e.what());
}

}  // namespace music
