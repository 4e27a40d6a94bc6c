#include "music/paper/unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/core/error.h"
#include "engine/io/file.h"
#include "music/config/config_keys.h"

namespace music {
namespace {

// A field as a flag has it.
std::string plain_text(const ConfigKey& key, const Config& config) {
  std::string text = field_text(key, config);
  std::erase_if(text, [](char c) {
    return c == '"' || c == '[' || c == ']' || c == ' ';
  });
  return text;
}

bool takes(const ConfigKey& key, const Config& config) {
  if (key.name == "model.projector") return needs_of(config.method).projector;
  return key.of(config.method);
}

std::vector<std::string> words_of(const std::string& text, char between) {
  std::vector<std::string> words(1);
  for (char c : text)
    if (c == between)
      words.emplace_back();
    else
      words.back() += c;
  return words;
}

std::string replaced(const std::string& where, const std::string& key,
                     const std::string& value,
                     const std::map<std::string, std::string>& by) {
  std::string all;
  const bool widths = key == "model.projector";
  for (const std::string& word : words_of(value, widths ? '-' : '\0')) {
    const auto it = by.find(word);
    if (it == by.end())
      throw error(ExitCode::kUsage, "[paper] {}: {} = {} has no replacement", where,
                  key, word);
    if (!all.empty()) all += '-';
    all += it->second;
  }
  return all;
}

const PaperFamily& family_of(const PaperTable& table, const PaperRow& row,
                             const PaperScale& scale) {
  const auto it = scale.families.find(row.family);
  if (it == scale.families.end())
    throw error(ExitCode::kUsage, "[paper] {} {}: scale {} has no family {}",
                table.name(), row.id, scale.name, row.family);
  return it->second;
}

// A setting stands once, the last time.
void put(PaperSettings& settings, const std::string& key,
         const std::string& value) {
  std::erase_if(settings, [&](const auto& s) { return s.first == key; });
  settings.emplace_back(key, value);
}

// {name} by its value; roles without a path end in `missing`.
std::string filled(const std::string& text,
                   const std::map<std::string, std::string>& values,
                   const std::map<std::string, std::string>& data,
                   std::string& missing) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find('{', at), close = text.find('}', open);
    if (open == std::string::npos || close == std::string::npos) {
      out += text.substr(at);
      break;
    }
    out += text.substr(at, open - at);
    const std::string name = text.substr(open + 1, close - open - 1);
    if (const auto it = values.find(name); it != values.end()) {
      out += it->second;
    } else if (const auto role = data.find(name); role != data.end()) {
      out += role->second;
    } else if (missing.empty()) {
      missing = fmt::format("no data for {}: --data {}=PATH", name, name);
    }
    at = close + 1;
  }
  return out;
}

}  // namespace

PaperSettings settle(const PaperTable& table, const PaperRow& row,
                     const PaperScale& scale) {
  const std::string where =
      fmt::format("{} {} at scale {}", table.name(), row.id, scale.name);
  const PaperFamily& family = family_of(table, row, scale);
  ConfigSources sources;
  sources.flags = {{"train.preset", row.preset}};
  sources.flags.insert(sources.flags.end(), row.settings.begin(),
                       row.settings.end());
  const Config paper = resolve(sources).value;

  PaperSettings out = {
      {"train.preset", family.base.empty() ? row.preset : family.base}};
  if (!family.base.empty()) put(out, "method.name", paper.method.name);
  for (const auto& [key, value] : family.set) put(out, key, value);
  const auto has = [](const auto& list, const std::string& key) {
    return std::find(list.begin(), list.end(), key) != list.end();
  };
  for (const auto& [key, value] : row.settings)
    if (!family.replace.contains(key) && !has(family.own, key))
      put(out, key, value);
  for (const auto& [name, by] : family.replace) {
    const ConfigKey& key = *find_config_key(name);
    if (takes(key, paper))
      put(out, name, replaced(where, name, plain_text(key, paper), by));
  }
  if (const auto it = family.methods.find(paper.method.name);
      it != family.methods.end())
    for (const auto& [key, value] : it->second) put(out, key, value);
  try {
    resolve({.files = {}, .environment = {}, .flags = out});
  } catch (const Error& e) {
    throw error(ExitCode::kUsage, "[paper] {}: {}", where, e.what());
  }
  return out;
}

PaperUnit make_unit(const PaperTable& table, const PaperRow& row,
                    const PaperScale& scale, std::uint64_t seed,
                    const PaperPlace& place) {
  const PaperFamily& family = family_of(table, row, scale);
  const PaperSettings settings = settle(table, row, scale);
  ConfigSources sources{.files = {}, .environment = place.environment,
                        .flags = settings};
  sources.flags.emplace_back("train.seed", fmt::to_string(seed));
  PaperUnit unit;
  unit.config = resolve(sources);
  unit.role = family.data;
  unit.images = family.images;
  unit.seed = seed;
  unit.identity = fmt::format("{}-{}-s{}", family.data,
                              config_hash(unit.config.value).substr(0, 12), seed);
  unit.run = (std::filesystem::path(place.out) / "runs" / unit.identity).string();
  std::vector<std::string> flags;
  for (const auto& [key, value] : settings) {
    flags.push_back(key == "train.preset" ? "--preset" : fmt::format("--{}", key));
    flags.push_back(value);
  }
  const auto path = place.data.find(family.data);
  unit.command = {"music_train"};
  unit.command.insert(unit.command.end(), flags.begin(), flags.end());
  for (const std::string& word :
       {std::string("--data"), path == place.data.end() ? "" : path->second,
        std::string("--out"), unit.run, std::string("--seed"),
        fmt::to_string(seed), std::string("--progress"), std::string("none")})
    unit.command.push_back(word);
  if (!scale.planner.empty()) {
    unit.plan = {"music_plan"};
    unit.plan.insert(unit.plan.end(), flags.begin(), flags.end());
    unit.plan.insert(unit.plan.end(), scale.planner.begin(), scale.planner.end());
    unit.plan.push_back("--json");
  }
  return unit;
}

std::string PaperScoring::log() const {
  return std::filesystem::path(record).replace_extension(".log").string();
}

PaperScoring make_scoring(const std::string& evaluation, const PaperRow& row,
                          const PaperScale& scale, const PaperUnit& unit,
                          const PaperPlace& place) {
  PaperScoring scoring;
  scoring.name = evaluation;
  const auto it = scale.evaluations.find(evaluation);
  if (it == scale.evaluations.end()) {
    scoring.missing =
        fmt::format("scale {} has no evaluation {}", scale.name, evaluation);
    return scoring;
  }
  const PaperEvaluation& e = it->second;
  scoring.missing = e.reason;
  // Of what is to be run, wherever its files lie.
  Xxh3 hash;
  std::string all = e.program;
  for (const std::string& word : e.arguments) (all += '\0') += word;
  if (all.find("{row}") != std::string::npos) (all += '\0') += row.id;
  hash.update(std::as_bytes(std::span(all.data(), all.size())));
  const std::string stem = fmt::format("{}-{}-{}", unit.identity, evaluation,
                                       hash.digest().xxh3_128.substr(0, 8));
  const auto scores = std::filesystem::path(place.out) / "scores";
  scoring.record = (scores / (stem + ".json")).string();
  scoring.needs_run = all.find("{run}") != std::string::npos;
  if (!scoring.missing.empty()) return scoring;
  std::map<std::string, std::string> values = {
      {"run", unit.run},
      {"row", row.id},
      {"seed", fmt::to_string(unit.seed)},
      {"out", (scores / stem).string()}};
  if (const auto d = place.data.find(unit.role); d != place.data.end())
    values["data"] = d->second;
  scoring.command = {e.program};
  for (const std::string& word : e.arguments)
    scoring.command.push_back(
        filled(word == "{data}" ? fmt::format("{{{}}}", unit.role) : word, values,
               place.data, scoring.missing));
  scoring.command.push_back("--json");
  for (std::size_t i = 0; i < e.arguments.size(); ++i) {
    const std::string& word = e.arguments[i];
    const bool path = word.find('{') != std::string::npos && word != "{run}" &&
                      word != "{seed}" && word != "{out}";
    if (path && scoring.missing.empty() &&
        !std::filesystem::exists(scoring.command[i + 1]))
      scoring.missing =
          fmt::format("{} is not there", scoring.command[i + 1]);
  }
  return scoring;
}

std::vector<std::string> evaluations_of(const PaperTable& table,
                                        const PaperRow& row) {
  std::vector<std::string> all;
  for (const PaperColumn& column : table.columns)
    if (!column.measured() && row.numbers.contains(column.name) &&
        std::find(all.begin(), all.end(), column.evaluation) == all.end())
      all.push_back(column.evaluation);
  return all;
}

std::string missing_data(const std::string& role, const PaperPlace& place) {
  const auto it = place.data.find(role);
  if (it == place.data.end())
    return fmt::format("no data for {}: --data {}=PATH", role, role);
  if (!std::filesystem::exists(it->second))
    return fmt::format("{} is not there (--data {}=)", it->second, role);
  return "";
}

}  // namespace music
