#pragma once
// A table of results as text: for a terminal, as Markdown, as JSON.

#include <string>
#include <vector>

#include "music/paper/result.h"

namespace music {

// One line a cell: row, metric, the paper's, ours, difference, what is expected,
// verdict.
struct PaperLine {
  std::string row, metric, paper, ours, difference, band, verdict;
};
std::vector<PaperLine> lines_of(const PaperTableResult& table);

// "Table 8: Loss terms, scale minutes, seeds 3".
std::string heading(const PaperTableResult& table);
// "3 inside, 1 outside, ...": of all cells.
std::string tally(const PaperTableResult& table);
// Reasons and notes of rows, each once, with the rows that it is of.
std::vector<std::string> notes_of(const PaperTableResult& table);

std::string to_terminal(const PaperTableResult& table);
std::string to_markdown(const PaperTableResult& table);
std::string to_json(const PaperTableResult& table);
// One page of all, with the tables as they stand in Markdown and JSON.
std::string to_page(const std::vector<PaperTableResult>& tables);

}  // namespace music
