// Which settings make a run what it is: their hash, and what differs.

#include <xxhash.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "music/config/config_keys.h"

namespace music {

std::string config_hash(const Config& config) {
  const std::string text = deciding_settings(config);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string deciding_settings(const Config& config) {
  const Config defaults;
  std::string text;
  for (const ConfigKey& key : config_keys()) {
    const std::string value = field_text(key, config);
    if (key.decides && key.of(config.method) &&
        !(key.added && value == field_text(key, defaults)))
      text += fmt::format("{}={}\n", key.name, value);
  }
  return text;
}

namespace {

using Settings = std::map<std::string, std::string>;

std::int64_t number(const Settings& values, const char* key) {
  const auto at = values.find(key);
  return at == values.end() ? 0 : std::atoll(at->second.c_str());
}

Settings settings_of(const std::string& text) {
  Settings values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos)
      values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  // Of an older version: all of the batch at once, which now has one name.
  if (number(values, "train.micro_batch") >= number(values, "train.batch"))
    values.erase("train.micro_batch");
  return values;
}

}  // namespace

std::vector<std::string> differences(const std::string& from,
                                     const Config& to) {
  Settings before = settings_of(from), after = settings_of(deciding_settings(to));
  // Of a key that stands only where it is not the default, that is known.
  const Config defaults;
  for (const ConfigKey& key : config_keys())
    if (key.added && key.decides && key.of(to.method))
      for (auto* side : {&before, &after})
        side->try_emplace(key.name, field_text(key, defaults));
  // Two methods differ in all of their settings.
  if (before["method.name"] != after["method.name"])
    for (const ConfigKey& key : config_keys())
      if (!key.method.empty()) before.erase(key.name), after.erase(key.name);
  std::vector<std::string> out;
  for (const auto& [name, now] : after) {
    const auto was = before.extract(name);
    if (was.empty())
      out.push_back(fmt::format("{} not known -> {}", name, now));
    else if (was.mapped() != now)
      out.push_back(fmt::format("{} {} -> {}", name, was.mapped(), now));
  }
  for (const auto& [name, was] : before)
    out.push_back(fmt::format("{} {} -> not known", name, was));
  return out;
}

std::optional<std::int64_t> other_epochs(const std::string& from,
                                         const Config& to) {
  const std::vector<std::string> found = differences(from, to);
  if (found.size() != 1 || !found[0].starts_with("train.epochs "))
    return std::nullopt;
  return number(settings_of(from), "train.epochs");
}

}  // namespace music
