#pragma once
// metrics.jsonl: one JSON object a line. The first line says what the run is
// (argv, versions, configuration hash), each further one a step: epoch, step,
// loss, time, lr, then the rest in the writer's order.

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "music/files/append_file.h"

namespace music {

using MetricValue = std::variant<double, std::int64_t, std::string>;
using Metrics = std::vector<std::pair<std::string, MetricValue>>;

// {"step":3,"loss":-8.1}; NaN and infinities become null, and bytes that are
// not UTF-8 the replacement character.
std::string to_json(const Metrics& metrics);

class MetricsWriter {
 public:
  // Opens or creates; what a crash left of a last line is cut off.
  explicit MetricsWriter(const std::filesystem::path& path);

  // Appends a line. A failure is a warning, never an error.
  void write(const Metrics& metrics);

  // A checkpoint records bytes(); resuming from it truncates to that, so that
  // no step is there twice. 0 is an empty file: write the first line again.
  std::int64_t bytes() const { return file_.bytes(); }
  void truncate_to(std::int64_t bytes) { file_.truncate_to(bytes); }

 private:
  AppendFile file_;
};

}  // namespace music
