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

// Of an added key: what runs did before it came.
static std::string before(const ConfigKey& key) {
  return key.before.empty() ? field_text(key, Config()) : key.before;
}

// Whether the key decides beside the settings of text.
static bool holds(const ConfigKey& key, const std::string& text) {
  return key.only.empty() ||
         fmt::format("\n{}", text).find(fmt::format("\n{}\n", key.only)) != text.npos;
}

std::string deciding_settings(const Config& config) {
  std::string text;
  for (const ConfigKey& key : config_keys()) {
    const std::string value = field_text(key, config);
    if (key.decides && key.of(config.method) &&
        holds(key, text) &&
        !(key.added && value == before(key)))
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
  const std::string into = deciding_settings(to);
  auto old = settings(from), after = settings(into);
  for (const ConfigKey& key : config_keys()) {
    if (!key.decides || !key.of(to.method)) continue;
    if (!holds(key, from) || !holds(key, into)) {
      old.erase(key.name), after.erase(key.name);
    } else if (key.added) {
      // Where it stands only if it is another, what it was is known.
      for (auto* side : {&old, &after}) side->try_emplace(key.name, before(key));
    }
  }
  // Two methods differ in all of their settings.
  if (old.at("method.name") != after.at("method.name"))
    for (const ConfigKey& key : config_keys())
      if (!key.method.empty()) old.erase(key.name), after.erase(key.name);
  std::vector<std::string> out;
  for (const auto& [name, now] : after) {
    const auto was = old.extract(name);
    if (was.empty())
      out.push_back(fmt::format("{} not known -> {}", name, now));
    else if (was.mapped() != now)
      out.push_back(fmt::format("{} {} -> {}", name, was.mapped(), now));
  }
  for (const auto& [name, was] : old)
    out.push_back(fmt::format("{} {} -> not known", name, was));
  return out;
}

}  // namespace music
