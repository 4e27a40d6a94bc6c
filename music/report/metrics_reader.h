#pragma once
// metrics.jsonl of a run (music/files/metrics.h) as curves, line by line: what
// it takes does not grow with the file.

#include <filesystem>
#include <string>
#include <vector>

#include "music/report/curves.h"

namespace music {

struct RunMetrics {
  std::string command, version = {};  // of the first line
  Curves curves = Curves();
  double images_per_second = 0;  // median over the steps; 0: not there
  double data_wait = 0;          // share of a step's time: median
};

// problems: one line each about what cannot be read: no file, lines that are no
// JSON objects, a torn last line, steps that come again. The rest counts.
RunMetrics read_metrics(const std::filesystem::path& path, std::size_t points,
                        std::vector<std::string>& problems);

}  // namespace music
