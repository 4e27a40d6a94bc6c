#include "tools/score_record.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/io/file.h"
#include "music/files/append_file.h"
#include "music/files/build_info.h"

namespace music {
namespace {

constexpr std::int64_t kSampledImages = 256;

void add(Xxh3& hash, std::string_view text) {
  hash.update(std::as_bytes(std::span(text.data(), text.size())));
  hash.update(std::as_bytes(std::span("", 1)));  // ends it: "ab","c" != "a","bc"
}

void add(Xxh3& hash, std::int64_t number) {
  hash.update(std::as_bytes(std::span(&number, 1)));
}

void add_image(Xxh3& hash, const data::Dataset& dataset, std::int64_t i) {
  std::vector<std::uint8_t> bytes;
  try {
    if (dataset.read_file(i, bytes)) {
      hash.update(std::as_bytes(std::span(bytes)));
      return;
    }
    data::Image image;
    dataset.read(i, image);
    hash.update(std::as_bytes(std::span(
        image.data(), image.bytes())));
  } catch (const Error&) {
    add(hash, "unreadable");
  }
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
  Xxh3 hash;
  const std::int64_t n = dataset.size();
  add(hash, n);
  for (const auto& name : dataset.classes()) add(hash, name);
  for (std::int64_t i = 0; i < n; ++i)
    add(hash, static_cast<std::int64_t>(dataset.label(i)));
  const std::int64_t sampled = std::min(n, kSampledImages);
  for (std::int64_t s = 0; s < sampled; ++s)
    add_image(hash, dataset, s * n / sampled);
  return {{"path", path},
          {"images", n},
          {"classes", dataset.classes().size()},
          {"fingerprint", hash.digest().xxh3_128}};
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
