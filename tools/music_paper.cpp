// music_paper: the paper's tables run again.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/core/error.h"
#include "engine/io/file.h"
#include "music/config/config_keys.h"
#include "music/files/run_directory.h"
#include "music/paper/row_state.h"
#include "music/paper/table_text.h"
#include "music/train/interrupt.h"
#include "tools/cli.h"
#include "tools/paper_jobs.h"
#include "tools/paper_run.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> tables, rows, data;
  std::string scale = "minutes", out, declarations, jobs;
  int seeds = 1, processes = 1;
  bool dry = false, list = false, json = false;
};

std::vector<const PaperTable*> tables_of(const Paper& paper,
                                         const std::vector<std::string>& names) {
  std::vector<const PaperTable*> tables;
  for (const std::string& name : names) {
    if (name == "all") {
      for (const PaperTable& t : paper.tables) tables.push_back(&t);
      continue;
    }
    int number = 0;
    for (char c : name) number = c >= '0' && c <= '9' && number < 1000
                                     ? number * 10 + (c - '0') : -100000;
    if (name.empty() || number < 0)
      throw error(ExitCode::kUsage, "[paper] \"{}\": expected a table's number, or all",
                  name);
    tables.push_back(&paper.table(number));
  }
  return tables;
}

// --rows of one table; of several, each takes those it has.
std::vector<const PaperRow*> rows_of(const PaperTable& table,
                                     const std::vector<std::string>& wanted) {
  std::vector<const PaperRow*> rows;
  for (const PaperRow& row : table.rows)
    if (wanted.empty() ||
        std::find(wanted.begin(), wanted.end(), row.id) != wanted.end())
      rows.push_back(&row);
  return rows;
}

void expect_rows(const std::vector<const PaperTable*>& tables,
                 const std::vector<std::string>& wanted) {
  std::vector<std::string> known;
  for (const PaperTable* t : tables)
    for (const PaperRow& row : t->rows) known.push_back(row.id);
  for (const std::string& id : wanted)
    if (std::find(known.begin(), known.end(), id) == known.end())
      throw error(ExitCode::kUsage, "[paper] no row \"{}\"{}; expected one of {}", id,
                  suggestion(id, known), fmt::join(known, ", "));
}

PaperPlace place_of(const Paper& paper, const Options& o) {
  PaperPlace place;
  place.environment = music_environment();
  place.out = o.out.empty() ? "paper-" + o.scale : o.out;
  std::vector<std::string> known;
  for (const auto& [role, expects] : paper.roles) known.push_back(role);
  for (const std::string& word : o.data) {
    const std::size_t equals = word.find('=');
    const std::string role = word.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == word.size())
      throw error(ExitCode::kUsage, "[paper] --data {}: expected ROLE=PATH", word);
    if (!paper.roles.contains(role))
      throw error(ExitCode::kUsage, "[paper] --data {}: no role {}{}; expected one of {}",
                  word, role, suggestion(role, known), fmt::join(known, ", "));
    const std::string path = word.substr(equals + 1);
    if (!fs::exists(path))
      throw error(ExitCode::kUsage, "[paper] --data {}: {} is not there; expected {}",
                  word, path, paper.roles.at(role));
    place.data[role] = fs::absolute(path).lexically_normal().string();
  }
  return place;
}

void list_tables(const std::vector<const PaperTable*>& tables, const Paper& paper) {
  for (const PaperTable* t : tables) {
    fmt::print("Table {}: {}\n  {}\n", t->number, t->title, t->caption);
    for (const PaperRow& row : t->rows) {
      std::string numbers;
      for (const PaperColumn& c : t->columns)
        if (row.numbers.contains(c.name))
          numbers += fmt::format("  {} {:g}", c.name, row.numbers.at(c.name));
      fmt::print("  {:<16} {}{}{}\n", row.id, row.label, numbers,
                 row.reason.empty() ? "" : fmt::format("; {}", row.reason));
    }
  }
  fmt::print("Scales:\n");
  for (const PaperScale& s : paper.scales) fmt::print("  {:<16} {}\n", s.name, s.about);
  fmt::print("Data:\n");
  for (const auto& [role, expects] : paper.roles)
    fmt::print("  {:<16} {}\n", role + "=", expects);
}

void write_text(const fs::path& path, const std::string& text) {
  FileWriter file(path);
  file.write(std::string_view(text));
  file.commit();
}

// The files of all tables that the folder has rows of, those of this call too.
void write_tables(const Paper& paper, const PaperScale& scale,
                  const std::vector<PaperTableResult>& results,
                  const PaperPlace& place, const PaperFailures& failures) {
  std::vector<PaperTableResult> all;
  for (const PaperTable& table : paper.tables) {
    StoredTable had = stored_table(table, place.out);
    std::map<std::string, std::vector<std::string>> notes;
    std::set<std::string> ids;
    for (const PaperRow* row : had.rows) ids.insert(row->id);
    for (const PaperTableResult& now : results)
      if (now.table == &table) {
        had.seeds = std::max(had.seeds, now.seeds);
        for (const PaperRowResult& row : now.rows) {
          ids.insert(row.row->id);
          notes[row.row->id] = row.notes;
        }
      }
    std::vector<const PaperRow*> rows;
    for (const PaperRow& row : table.rows)
      if (ids.contains(row.id)) rows.push_back(&row);
    if (rows.empty()) continue;
    all.push_back(
        read_table_result(table, scale, rows, had.seeds, place, failures));
    for (PaperRowResult& row : all.back().rows)  // of this call alone
      for (const std::string& note : notes[row.row->id])
        if (std::count(row.notes.begin(), row.notes.end(), note) == 0)
          row.notes.push_back(note);
    const std::string base = (fs::path(place.out) / table.name()).string();
    write_text(base + ".md", to_markdown(all.back()));
    write_text(base + ".json", to_json(all.back()));
  }
  write_text(fs::path(place.out) / "paper.html", to_page(all));
}

// Nothing has run and nothing can.
[[noreturn]] void nothing_to_run(const PaperFailures& failures, const Paper& paper,
                                 const PaperScale& scale) {
  std::set<std::string> wanted;
  for (const auto& [role, expects] : paper.roles)
    for (const auto& [of, reason] : failures.reasons)
      if (reason.find(fmt::format("--data {}=", role)) != std::string::npos)
        wanted.insert(fmt::format("--data {}=PATH ({})", role, expects));
  if (wanted.empty())
    throw error(ExitCode::kUsage, "[paper] nothing here can be run at scale {}",
                scale.name);
  throw error(ExitCode::kUsage, "[paper] scale {} has no images; expected {}",
              scale.name, fmt::join(wanted, ", "));
}

int paper_main(int argc, char** argv) {
  CLI::App app(
      "Runs the tables of the paper again, and stands our numbers beside its own.");
  Options o;
  app.add_option("tables", o.tables, "1 to 11, or all")->required();
  app.add_option("--scale", o.scale, "full, imagenet100, cifar, hours or minutes")
      ->capture_default_str();
  app.add_option("--rows", o.rows, "of these rows only (--list has their names)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--seeds", o.seeds, "trainings of each row, seeds from 0 on")
      ->check(CLI::Range(1, kMaxSeeds));
  app.add_option("--data", o.data, "ROLE=PATH: images of a role (--list has them)")
      ->allow_extra_args(false);
  app.add_option("--out", o.out, "folder of runs and results (default: paper-SCALE)");
  app.add_option("--declarations", o.declarations,
                 "a folder with scales.toml and tables in place of the built-in ones");
  app.add_option("--print-jobs", o.jobs,
                 "print what remains as commands under mpirun, or as a job array "
                 "for Slurm, and exit")
      ->check(CLI::IsMember({"mpirun", "slurm"}));
  app.add_option("--np", o.processes, "processes of those")->check(CLI::Range(1, 1 << 20));
  app.add_flag("--dry-run", o.dry, "print the commands that remain, and exit");
  app.add_flag("--list", o.list, "print rows, scales and data roles, and exit");
  app.add_flag("--json", o.json, "print the results as JSON");
  if (!parse(app, argc, argv)) return 0;

  const Paper paper = parse_paper(o.declarations.empty()
                                      ? embedded_paper()
                                      : read_paper(o.declarations));
  const auto tables = tables_of(paper, o.tables);
  if (o.list) {
    list_tables(tables, paper);
    return 0;
  }
  const PaperScale& scale = paper.scale(o.scale);
  expect_rows(tables, o.rows);
  const PaperPlace place = place_of(paper, o);
  expect_results(place.out, scale);

  PaperFailures failures;
  std::vector<std::unique_ptr<PaperUnit>> units;
  std::vector<PaperStep> steps;
  for (const PaperTable* t : tables) {
    auto more = steps_of(*t, scale, rows_of(*t, o.rows), o.seeds, place, units,
                         failures);
    steps.insert(steps.end(), more.begin(), more.end());
  }
  if (o.dry) {
    for (const PaperStep& step : remaining(steps))
      fmt::print("{}\n", command_line(step.command));
    return 0;
  }
  if (!o.jobs.empty()) {
    fmt::print("{}", o.jobs == "slurm" ? slurm_jobs(remaining(steps), o.processes, place)
                                       : mpirun_jobs(remaining(steps), o.processes, place));
    return 0;
  }
  if (o.processes > 1)
    throw error(ExitCode::kUsage, "[paper] --np is of --print-jobs: here programs "
                "run one after another, in one process each");
  if (steps.empty() && !fs::exists(fs::path(place.out) / "paper.json"))
    nothing_to_run(failures, paper, scale);
  open_results(place.out, scale);
  const PaperLock lock(place.out);
  std::map<std::string, std::string> changed;
  for (const PaperTable* t : tables)
    for (const PaperRow* row : rows_of(*t, o.rows)) {
      const std::string changes = changes_of(*t, *row, scale, place);
      if (changes.empty()) continue;
      changed[t->name() + row->id] = changes;
      fmt::print(stderr, "{} {} is declared otherwise than when it ran: {}\n",
                 t->name(), row->id, changes);
    }
  const int signal = run_steps(steps, place.out, failures);

  std::vector<PaperTableResult> results;
  int failed = 0, all = 0;
  std::string json;
  for (const PaperTable* t : tables) {
    const auto rows = rows_of(*t, o.rows);
    if (rows.empty()) continue;
    results.push_back(
        read_table_result(*t, scale, rows, o.seeds, place, failures));
    PaperTableResult& r = results.back();
    for (PaperRowResult& row : r.rows) {
      ++all;
      failed += row.failed;
      if (const auto it = changed.find(t->name() + row.row->id); it != changed.end())
        row.notes.push_back(
            fmt::format("declared otherwise than before: {}", it->second));
      write_row(r, row, place);
    }
    if (!o.json) fmt::print("{}\n", to_terminal(r));
    if (!json.empty()) json += ",\n";
    json += to_json(r);
  }
  if (o.json) fmt::print("[{}]\n", json);
  write_tables(paper, scale, results, place, failures);
  if (signal != 0) return exit_code_of(signal);
  if (failed > 0)
    throw error(ExitCode::kData, "[paper] {} of {} rows have no number because a "
                "program failed; rows/ of {} has their logs", failed, all, place.out);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, paper_main);
}
