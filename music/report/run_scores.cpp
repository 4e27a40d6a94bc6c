// eval/: the records of evaluators, and what was scored during training.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/counted.h"
#include "music/report/regular_file.h"
#include "music/report/run_parts.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string text_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end()) return "";
  return it->is_string() ? it->get<std::string>()
         : it->is_null()
             ? ""
             : it->dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<double> number_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_number()) return std::nullopt;
  return it->get<double>();
}

const Json& part(const Json& json, const char* key) {
  static const Json none = Json::object();
  const auto it = json.find(key);
  return it != json.end() && it->is_object() ? *it : none;
}

// "50000 train, 10000 test of /data/cifar"; paths once.
void describe_data(const Json& data, RunScores& out) {
  for (const auto& [role, what] : data.items()) {
    if (!what.is_object()) continue;
    out.data +=
        fmt::format("{}{} {} images", out.data.empty() ? "" : ", ",
                    text_of(what, "used").empty() ? text_of(what, "images")
                                                  : text_of(what, "used"),
                    role);
    out.fingerprint += text_of(what, "fingerprint") + " ";
  }
}

// What is wrong with it; "": nothing.
std::string add_record(const Json& json, const std::string& name,
                       RunSummary& run) {
  if (!json.is_object()) return "no JSON object";
  if (!json.contains("record")) return "no \"record\", expected 1";
  if (json["record"] != 1)
    return fmt::format("record {}, expected 1", text_of(json, "record"));
  const auto scores = json.find("scores");
  if (scores == json.end() || !scores->is_array()) return "no list of scores";
  RunScores out{.file = name,
                .program = text_of(json, "program"),
                .version = text_of(json, "version"),
                .protocol = text_of(part(json, "protocol"), "id"),
                .hash = text_of(part(json, "protocol"), "hash"),
                .settings = text_of(part(json, "protocol"), "settings")};
  describe_data(part(json, "data"), out);
  for (const Json& row : *scores) {
    if (!row.is_object()) continue;
    const auto value = number_of(row, "value");
    out.scores.push_back({text_of(row, "name"), text_of(row, "unit"),
                          value.value_or(std::nan("")),
                          number_of(row, "deviation"), number_of(row, "chance"),
                          number_of(row, "random_initialisation")});
  }
  if (const auto notes = json.find("notes");
      notes != json.end() && notes->is_array())
    for (const Json& note : *notes)
      if (note.is_string()) out.notes.push_back(note.get<std::string>());
  if (const auto seeds = json.find("seeds");
      seeds != json.end() && seeds->is_array())
    out.seeds = seeds->size();
  out.compute = text_of(json, "compute");
  out.seconds = number_of(json, "seconds").value_or(0);
  run.scores.push_back(std::move(out));
  return "";
}

ScoreCurve& curve(RunSummary& run, const std::string& name) {
  const auto it = std::ranges::find(run.score_curves, name, &ScoreCurve::name);
  if (it != run.score_curves.end()) return *it;
  run.score_curves.push_back({.name = name});
  return run.score_curves.back();
}

// knn_during_training.jsonl: {"epoch","step","knn20",...}; classifier.jsonl:
// {"epoch","step","test":{"scores":...}} or so.
void read_curves(RunSummary& run, const fs::path& file, Problems& problems) {
  std::ifstream in = open_regular(file);
  if (!in) return;
  std::int64_t damaged = 0;
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
      damaged += !line.empty();
      continue;
    }
    const double step = number_of(json, "step").value_or(0);
    const double epoch = number_of(json, "epoch").value_or(0);
    const auto add = [&](const std::string& name, const Json& from,
                         const char* key) {
      if (const auto value = number_of(from, key))
        curve(run, name).points.push_back({step, epoch, *value});
    };
    for (const auto& [key, value] : json.items())
      if (key.starts_with("knn") && run.score_curves.size() < 20)
        add(key.substr(3) + "-NN top-1", json, key.c_str());
    for (const char* which : {"test", "holdout"})
      if (json.contains(which) && json[which].is_object() &&
          json[which].contains("classifiers") &&
          json[which]["classifiers"].is_array())
        for (const Json& c : json[which]["classifiers"])
          if (c.is_object() && run.score_curves.size() < 40)
            add(fmt::format("{} top-1{}", which,
                            text_of(c, "name").empty()
                                ? ""
                                : ", " + text_of(c, "name")),
                c, "top1");
  }
  if (damaged > 0)
    problems.push_back(fmt::format("{}: {} no JSON object: left out",
                                   file.string(),
                                   counted(damaged, "line is", "lines are")));
}

}  // namespace

void read_scores(RunSummary& run, Problems& problems) {
  const fs::path folder = run.path / "eval";
  std::error_code failure;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end;
       it.increment(failure))
    if (it->path().extension() == ".json") files.push_back(it->path());
  std::ranges::sort(files);
  for (const fs::path& file : files) {
    std::ifstream in = open_regular(file);
    const std::string wrong = add_record(Json::parse(in, nullptr, false),
                                         file.filename().string(), run);
    if (!wrong.empty())
      problems.push_back(fmt::format("{}: {}: left out", file.string(), wrong));
  }
  read_curves(run, folder / "knn_during_training.jsonl", problems);
  read_curves(run, folder / "classifier.jsonl", problems);
}

}  // namespace music
