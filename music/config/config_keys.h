#pragma once
// The table of configuration keys: each key's field, help and limits. Files,
// environment, flags, --help and the resolved file all follow from it.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "music/config/config.h"
#include "music/method/setting.h"

namespace music {

struct ConfigKey {
  // Of every number: what is computed in fp32 overflows beyond it.
  static constexpr double kLargest = 1e30;

  std::string name;  // "section.key"
  std::function<Field(Config&)> field;
  std::string help;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above = false;    // min itself is excluded
  bool decides = true;   // decides the weights: part of config_hash
  // Is part of it only where it is not the default: came after the first runs.
  bool added = false;
  std::string before = {};  // of such a key: what those did, unless the default
  std::string only = {};  // "key=value" of an earlier one: decides with that alone
  std::string method = {};  // whose it is; "": of all
  std::vector<std::string> aliases = {};  // further flags, without "--"

  std::string section() const { return name.substr(0, name.find('.')); }
  std::string variable() const;  // "MUSIC_OPTIM_BASE_LR"
  std::string expected() const;  // "a number >= 0", "one of lars, sgd"
  bool of(const MethodSpec& chosen) const {
    return method.empty() || method == chosen.name;
  }
};

// In the order of the help and of the resolved file.
const std::vector<ConfigKey>& config_keys();
// nullptr when there is none.
const ConfigKey* find_config_key(const std::string& name);

// A value as a file or a command line gives it.
struct ConfigValue {
  std::variant<std::monostate, bool, std::int64_t, double, std::string,
               std::vector<double>> value;
  std::string text;  // as shown in a message
  bool integers = false;  // the vector came from integers only
};

// Reads text (of a flag or a variable) as the key's type asks; what does not
// parse stays text and assign() refuses it.
ConfigValue parse_value(const ConfigKey& key, const std::string& text);

// False when the value has the wrong type or is out of range.
bool assign(const ConfigKey& key, Config& config, const ConfigValue& value);

// The field as TOML: 0.6, "bicubic", [0.08, 1].
std::string field_text(const ConfigKey& key, const Config& config);

// " (did you mean optim.base_lr?)": the nearest of `known` by edit distance
// (at most 3; 2 or 1 for short words), or one that ends alike; else "".
std::string suggestion(const std::string& word,
                       const std::vector<std::string>& known,
                       const std::string& prefix = "");

}  // namespace music
