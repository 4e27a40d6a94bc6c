#pragma once
// Runs what rows of the paper need and have not yet: pre-trainings, evaluations
// and plans, one program after another.

#include <memory>
#include <string>
#include <vector>

#include "music/paper/result.h"

namespace music {

// One program of a row.
struct PaperStep {
  std::string row;     // "table08 de-oe"
  std::string what;    // "pre-training", "linear", "plan"
  std::string key;     // of PaperFailures: the unit's run or the record
  std::string result;  // the file that is there once it has ended
  std::string output;  // standard output: a record's text, or "" = the log
  std::string log;
  std::vector<std::string> command;
  std::string after;   // the run whose encoder it reads; "" = none
  const PaperUnit* unit = nullptr;  // of pre-trainings
  std::string unless;  // a plan is not needed where this file is there
};

// What a table's rows need, in their order, each program once; `units` keeps
// the pre-trainings. What cannot run is put into `failures` with its reason.
std::vector<PaperStep> steps_of(const PaperTable& table, const PaperScale& scale,
                                const std::vector<const PaperRow*>& rows,
                                int seeds, const PaperPlace& place,
                                std::vector<std::unique_ptr<PaperUnit>>& units,
                                PaperFailures& failures);

// Whether its result is there.
bool is_done(const PaperStep& step);

// A folder of open_results() has one music_paper at a time; another one is
// refused (ExitCode::kUsage).
class PaperLock {
 public:
  explicit PaperLock(const std::string& out);
  ~PaperLock();
  PaperLock(const PaperLock&) = delete;

 private:
  int file_;
};

// Runs those that are not, in a folder that is locked, with a line each on
// standard error. A failure is noted, and the next is run. Returns the signal that ended it, 0 for none.
int run_steps(const std::vector<PaperStep>& steps, const std::string& out,
              PaperFailures& failures);

}  // namespace music
