#pragma once
// What a folder of results keeps beside runs and scores: whose scale it is, and
// of each row its numbers and the settings that they were made with.

#include <string>

#include "music/paper/result.h"

namespace music {

// Makes the folder or opens it. Throws ExitCode::kUsage for one that belongs to
// another scale, or is neither new nor of music_paper.
void open_results(const std::string& out, const PaperScale& scale);

// OUT/rows/table08-de-oe.json: id, settings, and the row as in table08.json.
void write_row(const PaperTableResult& table, const PaperRowResult& row,
               const PaperPlace& place);

// "train.epochs 3 -> 4": in what the row is declared otherwise than when it was
// written; "" where it is not, or was never written. A damaged file counts as
// never written.
std::string changes_of(const PaperTable& table, const PaperRow& row,
                       const PaperScale& scale, const PaperPlace& place);

}  // namespace music
