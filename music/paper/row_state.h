#pragma once
// What a folder of results keeps beside runs and scores: whose scale it is, and
// of each row its numbers and the settings that they were made with.

#include <string>
#include <vector>

#include "music/paper/result.h"

namespace music {

constexpr int kMaxSeeds = 100;

// Throws ExitCode::kUsage for a folder that belongs to another scale, or is
// neither new nor of music_paper.
void expect_results(const std::string& out, const PaperScale& scale);

// Makes such a folder or opens it, with what is missing in it.
void open_results(const std::string& out, const PaperScale& scale);

// What OUT/table08.json had, so that a call with other rows or fewer seeds keeps
// them: rows in the table's order and the seeds. A damaged file had nothing.
struct StoredTable {
  std::vector<const PaperRow*> rows;
  int seeds = 1;
};
StoredTable stored_table(const PaperTable& table, const std::string& out);

// OUT/rows/table08-de-oe.json: id, settings, and the row as in table08.json.
void write_row(const PaperTableResult& table, const PaperRowResult& row,
               const PaperPlace& place);

// "train.epochs 3 -> 4": in what the row is declared otherwise than when it was
// written; "" where it is not, or was never written. A damaged file counts as
// never written.
std::string changes_of(const PaperTable& table, const PaperRow& row,
                       const PaperScale& scale, const PaperPlace& place);

}  // namespace music
