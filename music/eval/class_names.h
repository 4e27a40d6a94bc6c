#pragma once
// Names of classes for a person who must see what tells two of them apart.

#include <string>
#include <string_view>

namespace music {

// "cat"; with what prints alike or not at all, its bytes too:
// "café 'caf\xc3\xa9'", "'cat '".
std::string shown_class(std::string_view name);

// In what alone two names differ: "Unicode normalisation", "case", "blanks",
// "invisible characters", "blanks, hyphens and underscores", "accents",
// "character encoding" (one of them is no UTF-8), "case, blanks and accents", or
// "form": full width, ligatures and the like. "" for equal names, and for those
// that differ in more.
std::string sole_difference(std::string_view a, std::string_view b);

// The same for all names that differ in these alone.
std::string bare_class(std::string_view name);

}  // namespace music
