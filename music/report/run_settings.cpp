// config.toml and env.json.

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/core/counted.h"
#include "music/files/checkpoint.h"
#include "music/report/regular_file.h"
#include "music/report/run_parts.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Where a comment begins outside of a string; npos: none.
std::size_t comment(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (text[i] == '#' && !quoted)
      return i;
  }
  return text.npos;
}

bool is_key(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyz0123456789_-."
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == text.npos;
}

// Of the newest checkpoint: "optim.base_lr=0.6" a line.
std::vector<RunSetting> settings_of_checkpoint(const fs::path& run) {
  std::vector<RunSetting> out;
  const auto state = latest_state(run / "ckpt");
  if (!state) return out;
  const auto text = state->extra.find("settings");
  if (text == state->extra.end()) return out;
  std::string_view rest = text->second;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (const auto at = line.find('='); at != line.npos)
      out.push_back({std::string(line.substr(0, at)),
                     std::string(line.substr(at + 1)), "of the checkpoint"});
  }
  return out;
}

// Objects as "cpu.model", lists and the rest as JSON has them.
void flatten(const Json& json, const std::string& name,
             std::vector<std::pair<std::string, std::string>>& out) {
  constexpr std::size_t kMost = 100;
  if (out.size() >= kMost) return;
  if (json.is_object()) {
    for (const auto& [key, value] : json.items())
      flatten(value, name.empty() ? key : name + "." + key, out);
  } else if (name != "argv") {  // the command stands in metrics.jsonl
    out.emplace_back(
        name, json.is_string()
                  ? json.get<std::string>()
                  : json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
}

}  // namespace

std::vector<RunSetting> parse_settings(std::string_view text, int& damaged,
                                       int& first) {
  std::vector<RunSetting> out;
  std::string section;
  int number = 0;
  while (!text.empty()) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), whole.size() + 1));
    ++number;
    const auto hash = comment(whole);
    const std::string_view line = trim(whole.substr(0, hash));
    if (line.empty()) continue;
    if (line.front() == '[' && line.back() == ']' &&
        is_key(line.substr(1, line.size() - 2))) {
      section = std::string(line.substr(1, line.size() - 2));
      continue;
    }
    const auto equals = line.find('=');
    const std::string_view key = trim(line.substr(0, equals));
    const std::string_view value = equals == line.npos
                                       ? std::string_view()
                                       : trim(line.substr(equals + 1));
    if (!is_key(key) || value.empty()) {
      if (damaged++ == 0) first = number;
      continue;
    }
    out.push_back(
        {section.empty() ? std::string(key) : section + "." + std::string(key),
         std::string(value),
         hash == whole.npos ? "" : std::string(trim(whole.substr(hash + 1)))});
  }
  return out;
}

void read_settings(RunSummary& run, Problems& problems) {
  const fs::path file = run.path / "config.toml";
  std::ifstream in = open_regular(file);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  int damaged = 0, first = 0;
  run.settings = parse_settings(text, damaged, first);
  const bool empty = run.settings.empty();
  if (empty) run.settings = settings_of_checkpoint(run.path);
  const char* instead = !empty ? "the line is left out"
                        : run.settings.empty()
                            ? "no configuration"
                            : "what the newest checkpoint says";
  if (!in.is_open())
    problems.push_back(fmt::format("{}: not there or not readable: {}",
                                   file.string(), instead));
  else if (damaged > 0)
    problems.push_back(fmt::format(
        "{}:{}: expected key = value{}: {}", file.string(), first,
        damaged > 1
            ? fmt::format(", and so {}",
                          counted(damaged - 1, "line more", "lines more"))
            : "",
        instead));
  else if (empty)
    problems.push_back(fmt::format("{}: empty: {}", file.string(), instead));
}

void read_environment(RunSummary& run, Problems& problems) {
  const fs::path file = run.path / "env.json";
  std::ifstream in = open_regular(file);
  const Json json = Json::parse(in, nullptr, false);
  if (json.is_object())
    flatten(json, "", run.system);
  else
    problems.push_back(fmt::format(
        "{}: {}: nothing about the system", file.string(),
        in.is_open() ? "no JSON object" : "not there or not readable"));
}

}  // namespace music
