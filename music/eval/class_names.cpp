#include "music/eval/class_names.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "engine/core/text.h"

namespace music {
namespace {

constexpr int kComposed = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
constexpr int kBare = kComposed | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                      UTF8PROC_IGNORE | UTF8PROC_STRIPMARK;

enum class Left { kNothing, kBlanks, kBlanksAndHyphens };  // left out

bool is_left_out(utf8proc_int32_t c, Left left) {
  if (left == Left::kNothing) return false;
  const auto category = utf8proc_category(c);
  if (category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_CC)
    return true;
  return left == Left::kBlanksAndHyphens &&
         (category == UTF8PROC_CATEGORY_PD || category == UTF8PROC_CATEGORY_PC);
}

// Bytes that are no UTF-8, taken for Latin-1.
std::string in_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto rest = static_cast<utf8proc_ssize_t>(text.size());
  utf8proc_int32_t c = 0;
  bool valid = true;
  while (rest > 0 && valid) {
    const utf8proc_ssize_t n = utf8proc_iterate(p, rest, &c);
    valid = n > 0;
    p += n, rest -= n;
  }
  if (valid) return std::string(text);
  std::string out;
  for (const char byte : text) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t n =
        utf8proc_encode_char(static_cast<unsigned char>(byte), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
  }
  return out;
}

// In one form, of characters that are not left out.
std::string mapped(std::string_view text, int options, Left left) {
  const std::string valid = in_utf8(text);
  std::string kept;
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(valid.data());
  auto rest = static_cast<utf8proc_ssize_t>(valid.size());
  while (rest > 0) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(p, rest, &c);
    if (!is_left_out(c, left))
      kept.append(reinterpret_cast<const char*>(p), static_cast<std::size_t>(n));
    p += n, rest -= n;
  }
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(kept.data()),
      static_cast<utf8proc_ssize_t>(kept.size()), &out,
      static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  return size < 0 ? kept
                  : std::string(reinterpret_cast<const char*>(out),
                                static_cast<std::size_t>(size));
}

struct Likeness {
  const char* difference;
  int options;
  Left left = Left::kNothing;
};

// The narrowest first.
constexpr std::array kLikenesses{
    Likeness{"Unicode normalisation", kComposed},
    Likeness{"blanks", kComposed, Left::kBlanks},
    Likeness{"form", kComposed | UTF8PROC_COMPAT},
    Likeness{"case", kComposed | UTF8PROC_CASEFOLD},
    Likeness{"invisible characters", kComposed | UTF8PROC_IGNORE},
    Likeness{"blanks, hyphens and underscores", kComposed, Left::kBlanksAndHyphens},
    Likeness{"accents", kComposed | UTF8PROC_STRIPMARK},
    Likeness{"case, blanks and accents", kBare, Left::kBlanksAndHyphens}};

}  // namespace

std::string shown_class(std::string_view name) {
  const bool plain =
      !name.empty() && name.front() != ' ' && name.back() != ' ' &&
      name.find("  ") == name.npos &&
      std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~'; });
  if (plain) return std::string(name);
  const std::string quoted = in_quotes(name);
  const bool ascii = std::ranges::none_of(
      name, [](char c) { return static_cast<unsigned char>(c) > 0x7f; });
  return ascii || in_utf8(name) != name ? quoted : one_line(name) + " " + quoted;
}

std::string sole_difference(std::string_view a, std::string_view b) {
  if (a == b) return "";
  const bool encoded = (in_utf8(a) == a) != (in_utf8(b) == b);
  for (const Likeness& l : kLikenesses)
    if (mapped(a, l.options, l.left) == mapped(b, l.options, l.left))
      return encoded ? "character encoding" : l.difference;
  return "";
}

std::string bare_class(std::string_view name) {
  return mapped(name, kBare, Left::kBlanksAndHyphens);
}

}  // namespace music
