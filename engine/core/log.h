#pragma once
// Logging set-up. Use spdlog::info(...) and friends everywhere; messages go to
// standard error, standard output is for results. A message is one line: names
// of files may hold line feeds, and escapes that a terminal obeys.

#include <string>

namespace music {

// level: trace, debug, info, warn, error, off. rank >= 0 stands in the pattern
// when there is more than one process. file: also append there, "" for none.
void setup_logging(const std::string& level, int rank = 0, int size = 1,
                   const std::string& file = "");

}  // namespace music
