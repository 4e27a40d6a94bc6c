#pragma once
// Settings that someone wrote and that nothing reads, because of another one.

#include <map>
#include <string>

#include "music/config/config.h"

namespace music {

// Keys that were written by hand: in a file that no run wrote, in the environment
// or as flags. The number is of the source, stronger ones are larger.
using WrittenKeys = std::map<std::string, int>;

// Throws kUsage for one that has no effect. A setting that a stronger source put
// out of effect (a flag over a file) is none.
void refuse_inert_keys(const ResolvedConfig& config, const WrittenKeys& written);

}  // namespace music
