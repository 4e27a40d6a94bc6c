// A configuration as text: a run's file, and presets.

#include <fmt/ranges.h>

#include <cctype>

#include "engine/core/text.h"
#include "music/config/config_keys.h"
#include "music/config/presets.h"

namespace music {

const char* const kWrittenByRun =
    "# Every setting of a run, and where each came from.";

std::string in_lower_case(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string to_toml(const ResolvedConfig& config) {
  std::string out = kWrittenByRun + std::string("\n");
  std::string section;
  for (const ConfigKey& key : config_keys()) {
    if (!key.of(config.value.method)) continue;
    if (key.section() != section) {
      section = key.section();
      out += fmt::format("\n[{}]\n", section);
    }
    out += fmt::format("{} = {}  # {}\n", key.name.substr(section.size() + 1),
                       field_text(key, config.value),
                       one_line(config.origins.at(key.name)));
  }
  return out;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : embedded_presets()) names.push_back(name);
  return names;
}

const std::string& preset_text(const std::string& name) {
  const auto it = embedded_presets().find(name);
  if (it != embedded_presets().end()) return it->second;
  std::string word = name.substr(name.rfind('/') + 1);
  if (word.ends_with(".toml")) word.resize(word.size() - 5);
  throw error(ExitCode::kUsage,
              "[config] unknown preset \"{}\"{}; expected one of {}{}", name,
              suggestion(in_lower_case(word), preset_names()),
              fmt::join(preset_names(), ", "),
              word == name ? "" : "; -c reads a file");
}

}  // namespace music
