#pragma once
// Readers of the single files of a run, for read_run(). Each adds to the record
// what it finds and to problems what is wrong, and never throws for what a file
// holds.

#include <string>
#include <string_view>
#include <vector>

#include "music/report/run_summary.h"

namespace music {

using Problems = std::vector<std::string>;

// config.toml line by line; where it is missing or a line is damaged, what the
// newest checkpoint says.
void read_settings(RunSummary& run, Problems& problems);
// "key = value  # origin" lines under their [section]; damaged ones are counted
// in `damaged`, the number of the first in `first`.
std::vector<RunSetting> parse_settings(std::string_view text, int& damaged,
                                       int& first);

void read_environment(RunSummary& run, Problems& problems);
void read_scores(RunSummary& run, Problems& problems);
void read_log(RunSummary& run, Problems& problems);

}  // namespace music
