#include "music/files/quarantine.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "music/files/metrics.h"

namespace music {
namespace {

// Null for what is not such a line, as the torn last one of a killed run.
nlohmann::json entry(const std::string& line) {
  const auto j = nlohmann::json::parse(line, nullptr, false);
  const bool whole = j.is_object() && j.contains("sample") &&
                     j["sample"].is_number_integer();
  return whole ? j : nlohmann::json();
}

std::int64_t sample_of(const nlohmann::json& entry) {
  return entry.at("sample").get<std::int64_t>();
}

}  // namespace

Quarantine::Quarantine(const std::filesystem::path& path, data::BadImage policy)
    : policy_(policy), file_(path) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (const auto e = entry(line); !e.is_null()) known_.insert(sample_of(e));
}

void Quarantine::add(const std::string& lines) {
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    const auto e = entry(line);
    if (e.is_null() || !known_.insert(sample_of(e)).second) continue;
    spdlog::warn("[data] {}: {}; {}", e.value("name", ""), e.value("reason", ""),
                 policy_ == data::BadImage::kZero ? "black in its place"
                                                  : "replaced by another image");
    file_.append(line + "\n");
  }
}

std::vector<data::BadSample> read_quarantine(const std::filesystem::path& run) {
  std::vector<data::BadSample> samples;
  std::ifstream in(run / "quarantine.jsonl");
  for (std::string line; std::getline(in, line);)
    if (const auto e = entry(line); !e.is_null())
      samples.push_back({0, sample_of(e), e.value("name", ""), e.value("reason", "")});
  return samples;
}

// Each line behind its place in the run, in digits that sort as numbers do.
std::string quarantine_news(const data::Loader& loader, std::size_t& seen) {
  std::string news;
  const auto& bad = loader.quarantine();
  for (; seen < bad.size(); ++seen)
    news += fmt::format("{:010}.{:010} ", bad[seen].epoch, bad[seen].place) +
            to_json({{"sample", bad[seen].sample}, {"name", bad[seen].name},
                     {"reason", bad[seen].reason},
                     {"epoch", bad[seen].epoch}}) + "\n";
  return news;
}

std::string quarantine_lines(std::span<const std::string> of_ranks) {
  const auto place = [](const std::string& line) {
    return std::string_view(line).substr(0, line.find(' '));
  };
  std::vector<std::string> lines;
  for (const std::string& news : of_ranks) {
    std::istringstream in(news);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
  }
  std::ranges::stable_sort(lines, {}, place);
  std::string joined;
  for (const std::string& line : lines)
    joined += line.substr(line.find(' ') + 1) + "\n";
  return joined;
}

}  // namespace music
