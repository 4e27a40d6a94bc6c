#include "music/report/metrics_reader.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/core/counted.h"
#include "music/report/regular_file.h"

namespace music {
namespace {

using Json = nlohmann::ordered_json;  // curves in the order of the file

double median(std::vector<float>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  const double above = *middle;
  if (values.size() % 2 == 1) return above;
  return (above + *std::max_element(values.begin(), middle)) / 2;
}

double number_of(const Json& value) {
  return value.is_number() ? value.get<double>()
                           : std::numeric_limits<double>::quiet_NaN();
}

// Lines of one kind that were left out.
struct LeftOutLines {
  std::int64_t count = 0, first = 0;
  void add(std::int64_t line) {
    if (count++ == 0) first = line;
  }
  void tell(const std::filesystem::path& path, const char* what,
            std::vector<std::string>& problems) const {
    if (count > 0)
      problems.push_back(
          fmt::format("{}: {} {}, the first is line {}: left out",
                      path.string(), counted(count, "line"), what, first));
  }
};

}  // namespace

RunMetrics read_metrics(const std::filesystem::path& path, std::size_t points,
                        std::vector<std::string>& problems) {
  RunMetrics out;
  out.curves = Curves(points);
  std::ifstream in = open_regular(path);
  if (!in) {
    problems.push_back(
        fmt::format("{}: not there or not readable: no curves", path.string()));
    return out;
  }
  LeftOutLines damaged, repeated;
  std::vector<float> speeds, waits;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const Json json = Json::parse(line, nullptr, false);
    if (in.eof()) {  // no line feed: being written, or cut off
      if (!line.empty())
        problems.push_back(fmt::format(
            "{}: the last line is not whole: left out", path.string()));
      break;
    }
    if (!json.is_object()) {
      damaged.add(number);
      continue;
    }
    const auto step = json.find("step"), epoch = json.find("epoch");
    if (step == json.end() || !step->is_number_integer()) {
      const auto text = [&](const char* key) {
        const auto it = json.find(key);
        return it != json.end() && it->is_string() ? it->get<std::string>()
                                                   : "";
      };
      if (const std::string argv = text("argv"); !argv.empty())
        out.command = argv;
      else
        damaged.add(number);
      if (const std::string music = text("music"); !music.empty())
        out.version = music;
      continue;
    }
    const auto at = step->get<std::int64_t>();
    if (at <= out.curves.last_step()) {
      repeated.add(number);
      continue;
    }
    const double seconds = json.contains("time") ? number_of(json["time"]) : 0;
    out.curves.row(at,
                   epoch != json.end() && epoch->is_number_integer()
                       ? epoch->get<std::int64_t>()
                       : 0,
                   std::isfinite(seconds) ? seconds : 0);
    for (const auto& [key, value] : json.items()) {
      if (key == "step" || key == "epoch" || key == "time") continue;
      if (!value.is_number() && !value.is_null()) continue;
      const double v = number_of(value);
      out.curves.add(key, v);
      if (key == "images_per_s" && std::isfinite(v))
        speeds.push_back(static_cast<float>(v));
      if (key == "data_wait" && std::isfinite(v))
        waits.push_back(static_cast<float>(v));
    }
  }
  damaged.tell(path, "that are no JSON objects of a step", problems);
  repeated.tell(path, "with steps that were there before", problems);
  out.images_per_second = median(speeds);
  out.data_wait = median(waits);
  return out;
}

}  // namespace music
