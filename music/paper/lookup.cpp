#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/core/error.h"
#include "music/config/config_keys.h"
#include "music/paper/declaration.h"

namespace music {

std::string PaperTable::name() const { return fmt::format("table{:02}", number); }

const PaperTable& Paper::table(int number) const {
  for (const PaperTable& t : tables)
    if (t.number == number) return t;
  std::vector<int> known;
  for (const PaperTable& t : tables) known.push_back(t.number);
  throw error(ExitCode::kUsage, "[paper] no table {}; expected {} or all",
              number, fmt::join(known, ", "));
}

const PaperScale& Paper::scale(const std::string& name) const {
  std::vector<std::string> known;
  for (const PaperScale& s : scales) {
    if (s.name == name) return s;
    known.push_back(s.name);
  }
  throw error(ExitCode::kUsage, "[paper] unknown scale \"{}\"{}; expected one of {}",
              name, suggestion(name, known), fmt::join(known, ", "));
}

std::map<std::string, std::string> read_paper(const std::string& folder) {
  std::map<std::string, std::string> texts;
  std::error_code failed;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder, failed)) {
    if (entry.path().extension() != ".toml") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    texts[entry.path().stem().string()] = text.str();
  }
  if (failed || texts.empty())
    throw error(ExitCode::kUsage,
                "[paper] {}: expected a folder with scales.toml and tables",
                folder);
  return texts;
}

}  // namespace music
