#pragma once
// How a run stands, in words for the head of a report.

#include <string>
#include <vector>

#include "music/report/run_summary.h"

namespace music {

struct Verdict {
  enum class Level { kGood, kFair, kBad, kUnknown } level = Level::kUnknown;
  std::string health = {};                // "healthy", "collapsed: ..."
  std::string state = {};                 // "finished: 8 epochs, 632 steps"
  std::vector<std::string> remarks = {};  // skipped steps, bad images, ...
};

// The health is the log's last verdict (music/method), unless the last loss is
// not finite; without a log there is none, but for a collapse that the usage of
// the segments shows.
Verdict judge(const RunSummary& run);

}  // namespace music
