#include "music/report/run_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "music/files/build_info.h"
#include "music/report/attribute_section.h"
#include "music/report/embedded.h"
#include "music/report/html.h"
#include "music/report/sections.h"

namespace music {
namespace {

namespace fs = std::filesystem;

std::string navigation(const std::string& body) {
  constexpr std::pair<const char*, const char*> kSections[] = {
      {"curves", "Curves"}, {"scores", "Scores"},
      {"codes", "Codes"},   {"attributes", "Attributes"},
      {"course", "Course"}, {"configuration", "Configuration"},
      {"system", "System"}};
  std::string out = "<nav>";
  for (const auto& [id, title] : kSections)
    if (body.find(fmt::format(" id=\"{}\">", id)) != body.npos)
      out += fmt::format("<a href=\"#{}\">{}</a>\n", id, title);
  return out + "</nav>\n";
}

std::string what_lacks(const std::vector<std::string>& problems) {
  if (problems.empty()) return "";
  std::string out = "<details class=\"warning\"><summary>" +
                    counted(std::ssize(problems), "thing is", "things are") +
                    " missing or could not be read</summary>\n<ul>\n";
  for (const std::string& problem : problems)
    out += "<li>" + html_escape(one_line(problem)) + "</li>\n";
  return out + "</ul></details>\n";
}

// Folders that are no runs are taken out.
std::vector<fs::path> real_runs(const std::vector<fs::path>& paths,
                                std::vector<std::string>& problems) {
  std::vector<fs::path> runs;
  for (const fs::path& path : paths) {
    std::error_code failure;
    if (!fs::exists(path, failure))
      problems.push_back(
          fmt::format("{}: not there or not readable",
                      path.empty() ? "\"\"" : path.string()));
    else if (!fs::is_directory(path, failure))
      problems.push_back(fmt::format("{}: a file, expected the folder of a run",
                                     path.string()));
    else if (!looks_like_run(path))
      problems.push_back(fmt::format(
          "{}: no run: expected metrics.jsonl, config.toml or eval in it",
          path.string()));
    else
      runs.push_back(path);
  }
  return runs;
}

}  // namespace

std::string run_report(std::vector<fs::path> paths,
                       const ReportOptions& options,
                       std::vector<std::string>& problems) {
  paths = real_runs(paths, problems);
  if (paths.empty()) {
    const std::string first =
        problems.empty() ? "no folder is given" : problems.front();
    throw error(ExitCode::kData, "[report] {}", first);
  }
  std::vector<std::string> labels;
  label_runs(paths, labels, problems);
  const std::size_t points = std::clamp<std::size_t>(
      2 * options.points / paths.size(), 400, options.points);
  Runs runs;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    runs.push_back(read_run(paths[i], points, problems));
    runs.back().label = labels[i];
  }
  const auto charts = charts_of(runs);
  const std::string title = options.title.empty()
                                ? fmt::format("{}", fmt::join(labels, ", "))
                                : options.title;
  const std::string body =
      section("curves", "Curves", curves(charts, runs)) +
      section("scores", "Scores", score_tables(runs)) +
      section("codes", "Codes", code_pictures(runs, options.folder, problems)) +
      attributes(runs, problems) +
      section("course", "Course of the run", course(runs)) +
      section("configuration", "Configuration", configuration(runs)) +
      section("system", "System and speed", system_table(runs));
  HtmlPage page{
      .title = title + " – training report",
      .body =
          "<header><h1>" + html_escape(title) + "</h1>\n" + navigation(body) +
          "</header>\n<main>" + overview(runs) + what_lacks(problems) + body +
          "</main>\n<footer><p class=\"note\">Written by music_report " +
          html_escape(build_info().describe()) +
          ". Nothing in this page is loaded from elsewhere.</p></footer>\n"};
  page.styles = {std::string(embedded_dygraphs_css),
                 std::string(embedded_charts_css)};
  if (body.find("id=\"attributes\"") != body.npos)
    page.styles.emplace_back(attribute_styles());
  if (!charts.empty()) {
    page.body += data_block("curve-data", charts_json(charts, runs));
    page.scripts = {"/*!\n" + std::string(embedded_dygraphs_licence) + "*/\n" +
                        std::string(embedded_dygraphs_js),
                    std::string(embedded_charts_js)};
  }
  return to_html(page);
}

void write_run_report(const fs::path& run) {
  std::vector<std::string> problems;  // are in the page
  FileWriter file(run / "report.html");
  file.write(run_report({run}, {.folder = run}, problems));
  file.commit();
}

}  // namespace music
