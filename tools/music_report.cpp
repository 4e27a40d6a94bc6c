// music_report: one HTML file about runs, for people.

#include <algorithm>
#include <cstdio>

#include "engine/core/log.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "data/written_name.h"
#include "music/report/run_summary.h"
#include "music/report/run_report.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

int report_main(int argc, char** argv) {
  CLI::App app(
      "Writes one HTML file about runs: curves, scores, configuration, pictures of the "
      "codes, system. It opens in any browser, offline.");
  std::vector<std::string> names;
  std::string out;
  ReportOptions options;
  app.add_option("runs", names, "folders of runs; several are laid over each other")
      ->required();
  app.add_option("--out", out, "the file (default: report.html in the first run)");
  app.add_option("--title", options.title, "heading (default: the names of the runs)");
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");
  data::require_extension("--out", out, "HTML", {"html", "htm"});
  const std::vector<fs::path> runs(names.begin(), names.end());
  if (out.empty()) {
    const auto first = std::ranges::find_if(runs, looks_like_run);
    if (first != runs.end()) out = (*first / "report.html").string();
  }
  if (!out.empty()) options.folder = fs::absolute(out).parent_path();
  std::vector<std::string> problems;
  const std::string html = run_report(runs, options, problems);
  for (const std::string& problem : problems)
    std::fprintf(stderr, "music_report: %s\n", one_line(problem).c_str());
  FileWriter file(out);
  file.write(html);
  file.commit();
  std::printf("%s\n", one_line(out).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, report_main);
}
