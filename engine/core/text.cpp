#include "engine/core/text.h"

#include <fmt/format.h>

namespace music {
namespace {

std::string escaped(std::string_view text, bool ascii) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f && !(ascii && byte > 0x7f)) out += c;
    else out += fmt::format("\\x{:02x}", byte);
  }
  return out;
}

}  // namespace

std::string one_line(std::string_view text) { return escaped(text, false); }

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMost = 60;
  return fmt::format("'{}{}'", escaped(text.substr(0, kMost), true),
                     text.size() > kMost ? "..." : "");
}

}  // namespace music
