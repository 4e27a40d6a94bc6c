#pragma once
// Files counted by the extensions of their names, for messages.

#include <functional>
#include <map>
#include <string>

#include "data/tally.h"

namespace music::data {

using Tallies = std::map<std::string, Tally, std::less<>>;

// "2 .bmp, 1 .gif", the most frequent first.
std::string count_by_extension(const Tallies& tallies);
// nullptr: there is none.
const Tally* most_frequent(const Tallies& tallies);
// How to convert pictures: "`mogrify ...` converts it", or where there are several
// ways ".bmp: `mogrify ...` converts it; .gif: ...".
std::string remedies(const Tallies& pictures);

}  // namespace music::data
