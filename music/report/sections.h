#pragma once
// The parts of a run report, as HTML. A part with nothing to show is "".

#include <filesystem>
#include <string>
#include <vector>

#include "music/report/charts.h"
#include "music/report/run_summary.h"

namespace music {

using Runs = std::vector<RunSummary>;

// "<h2 id=...>title</h2>" and the body; "" where that is empty.
std::string section(const std::string& id, const std::string& title,
                    const std::string& body);

std::string overview(const Runs& runs);
std::string curves(const std::vector<Chart>& charts, const Runs& runs);
std::string score_tables(const Runs& runs);
std::string course(const Runs& runs);         // events, bad images
std::string configuration(const Runs& runs);  // and what differs
std::string system_table(const Runs& runs);
// RUN/figures/figures.json and its pictures; where the atlas is. folder: of the
// page.
std::string code_pictures(const Runs& runs, const std::filesystem::path& folder,
                          std::vector<std::string>& problems);
// RUN/atlas/attributes.json, as sections.
std::string attributes(const Runs& runs, std::vector<std::string>& problems);

}  // namespace music
