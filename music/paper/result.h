#pragma once
// Numbers of ours beside the paper's: read from what runs left behind, judged by
// the scale's band, and the paper's claims between rows.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "music/paper/unit.h"

namespace music {

// A cell of ours. Without values, reason says why.
struct PaperNumber {
  std::vector<double> values;  // one a seed
  std::optional<double> chance, random;  // beside it, from the records
  std::string reason, how;  // how: "measured", "planned" or, of scores, ""
  std::string images;       // fingerprint of the test images

  bool there() const { return !values.empty(); }
  double mean() const;
  std::optional<double> deviation() const;  // of at least two
};

struct PaperCell {
  const PaperColumn* column = nullptr;
  double paper = 0;
  PaperNumber ours;
  std::string band;     // what is expected here
  std::string verdict;  // "inside", "outside", "not comparable", "no number"
  std::string why;      // of "not comparable"
  bool failed = false;  // a program that it needs has failed
};

struct PaperRowResult {
  const PaperRow* row = nullptr;
  std::vector<PaperCell> cells;
  std::vector<std::string> units;  // identities, one a seed
  std::vector<std::string> notes;  // what a reader must know
  bool failed = false;
  double busy = 0;  // least share of a core that one of its runs had
};

struct PaperClaimResult {
  const PaperClaim* claim = nullptr;
  std::string verdict;  // "holds", "contradicted", "undecided", "not run"
  std::string detail;   // "3 of 4 pairs, least +1.2"
};

struct PaperTableResult {
  const PaperTable* table = nullptr;
  const PaperScale* scale = nullptr;
  int seeds = 1;
  std::vector<PaperRowResult> rows;
  std::vector<PaperClaimResult> claims;
  std::vector<std::string> notes;
};

// Why a unit or an evaluation, by its files' path, has no result: failures of
// this call, and what was not run.
struct PaperFailures {
  std::map<std::string, std::string> reasons;
  std::set<std::string> failed;  // those of them that were run
};

PaperTableResult read_table_result(const PaperTable& table,
                                   const PaperScale& scale,
                                   const std::vector<const PaperRow*>& rows,
                                   int seeds, const PaperPlace& place,
                                   const PaperFailures& failures);

// A record that an evaluator printed is in the file, whole.
bool has_record(const std::string& path);
// Of a run: it has ended.
bool is_trained(const PaperUnit& unit);

// What a process took: added up over the parts of a run that was stopped, but
// for the peak. Written beside the run.
struct PaperUsage {
  double seconds = 0, processor_seconds = 0;
  double peak_gib = 0;
};
PaperUsage read_usage(const PaperUnit& unit);
void write_usage(const PaperUnit& unit, const PaperUsage& usage);

// Fills band, verdict and why.
void judge(PaperCell& cell, const PaperScale& scale);
PaperClaimResult judge(const PaperClaim& claim, const PaperTableResult& table);

}  // namespace music
