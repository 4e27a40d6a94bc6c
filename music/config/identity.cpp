// Which settings make a run what it is: their hash, and what differs.

#include <xxhash.h>

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

std::vector<std::string> differences(const std::string& from,
                                     const Config& to) {
  const auto settings = [](const std::string& text) {
    std::map<std::string, std::string> values;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t equals = line.find('=');
      if (equals != std::string::npos)
        values[line.substr(0, equals)] = line.substr(equals + 1);
    }
    return values;
  };
  auto before = settings(from), after = settings(deciding_settings(to));
  // Of a key that stands only where it is not the default, that is known.
  const Config defaults;
  for (const ConfigKey& key : config_keys())
    if (key.added && key.decides && key.of(to.method))
      for (auto* side : {&before, &after})
        side->try_emplace(key.name, field_text(key, defaults));
  // Two methods differ in all of their settings.
  if (before.at("method.name") != after.at("method.name"))
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

}  // namespace music
