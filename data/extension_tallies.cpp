#include "data/extension_tallies.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "data/folder_names.h"
#include "data/picture_format.h"
#include "engine/core/format.h"
#include "engine/core/text.h"

namespace music::data {

std::string count_by_extension(const Tallies& tallies) {
  std::vector<std::pair<std::int64_t, std::string>> counts;
  for (const auto& [extension, tally] : tallies)
    counts.emplace_back(-tally.count, extension);
  std::sort(counts.begin(), counts.end());
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (i == 6) return out + ", ...";
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", -counts[i].first,
                       counts[i].second.empty()
                           ? "without extension"
                           : fmt::format(".{}", one_line(counts[i].second)));
  }
  return out;
}

std::string remedies(const Tallies& pictures) {
  struct Way {
    std::string_view remedy;
    std::string extensions;
  };
  std::vector<Way> ways;
  for (const auto& [extension, tally] : pictures) {
    const std::string_view remedy =
        format_remedy(format_of_extension(extension_of(tally.names[0])));
    const auto known = std::ranges::find(ways, remedy, &Way::remedy);
    if (known == ways.end()) ways.push_back({remedy, fmt::format(".{}", one_line(extension))});
    else known->extensions += fmt::format(", .{}", one_line(extension));
  }
  if (ways.size() == 1) return std::string(ways[0].remedy);
  std::string out;
  for (const Way& way : ways)
    out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", way.extensions, way.remedy);
  return out;
}

const Tally* most_frequent(const Tallies& tallies) {
  const Tally* most = nullptr;
  for (const auto& [extension, tally] : tallies)
    if (!most || tally.count > most->count) most = &tally;
  return most;
}

}  // namespace music::data
