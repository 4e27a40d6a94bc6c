#include "music/model/key_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "engine/core/format.h"
#include "engine/core/text.h"

namespace music {
namespace {

const char* name_of(KeyReport::State state) {
  switch (state) {
    case KeyReport::State::kMatched: return "matched";
    case KeyReport::State::kMissing: return "missing";
    case KeyReport::State::kShape: return "shape";
    case KeyReport::State::kUnexpected: return "unexpected";
    case KeyReport::State::kIgnored: return "ignored";
  }
  return "?";
}

}  // namespace

std::int64_t KeyReport::count(State state) const {
  return std::ranges::count(rows, state, &Row::state);
}

std::string KeyReport::summary() const {
  std::string text = fmt::format("{} of {} tensors of {} matched",
                                 count(State::kMatched), wanted(), model);
  if (!prefix.empty()) text += fmt::format(", under {}", in_quotes(prefix));
  for (const auto& [type, n] : converted)
    text += fmt::format("; {} of them {} made fp32", n, type);
  for (const std::string& other : others)
    text += fmt::format("; another encoder under {} not taken", in_quotes(other));
  constexpr std::size_t kShown = 3;
  for (const auto& [state, what] :
       {std::pair{State::kMissing, "missing"},
        {State::kShape, "of another shape"},
        {State::kUnexpected, "unexpected"},
        {State::kIgnored, "of other parts ignored"}}) {
    const std::int64_t n = count(state);
    if (n == 0) continue;
    std::vector<std::string> shown;
    for (const Row& row : rows)
      if (row.state == state && shown.size() < kShown)
        shown.push_back(one_line(row.key) + (row.note.empty() ? "" : ": ") +
                        one_line(row.note));
    text += fmt::format("; {} {} ({}{})", n, what, fmt::join(shown, ", "),
                        n > static_cast<std::int64_t>(shown.size()) ? ", ..." : "");
  }
  return text;
}

std::vector<std::string> KeyReport::lines() const {
  std::vector<std::string> lines;
  for (const Row& row : rows)
    lines.push_back(fmt::format("{:<10}  {}{}{}", name_of(row.state),
                                one_line(row.key), row.note.empty() ? "" : "  ",
                                one_line(row.note)));
  return lines;
}

}  // namespace music
