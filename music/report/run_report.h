#pragma once
// One HTML file about one run or several: curves, configuration, scores, health,
// pictures of the codes, system. docs/report.md describes it.

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace music {

struct ReportOptions {
  std::string title = {};         // "": the names of the runs
  std::filesystem::path folder = {};  // of the page: to link an atlas beside it
  std::size_t points = 2000;          // of a curve, at most
};

// The page about those of `runs` that are runs. problems: one line each about
// what is missing, damaged or of another version; what there is is in the page.
// Throws kData where none is a run.
std::string run_report(std::vector<std::filesystem::path> runs,
                       const ReportOptions& options,
                       std::vector<std::string>& problems);

// RUN/report.html about the run alone. Throws as FileWriter does.
void write_run_report(const std::filesystem::path& run);

}  // namespace music
