#pragma once
// The texts of presets/*.toml by name, compiled in (music/config/generated.cmake).

#include <map>
#include <string>

namespace music {

const std::map<std::string, std::string>& embedded_presets();

}  // namespace music
