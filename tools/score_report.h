#pragma once
// What every evaluator prints and writes when it has a score.

#include <filesystem>
#include <optional>

#include "tools/score_record.h"

namespace music {

// The table a person reads: protocol and its hash, then a row a score with
// chance and random initialisation beside it, then the notes.
std::string score_table(const ScoreRecord& record);

// Prints the record on standard output, as one JSON object or as the table, and
// writes it into the run's eval/ where there is a run.
void report(const ScoreRecord& record, bool json,
            const std::optional<std::filesystem::path>& run);

}  // namespace music
