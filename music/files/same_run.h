#pragma once
// Whether a run may go on under a configuration.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "music/config/config.h"

namespace music {

// `from`: the deciding_settings() of the run in `run`; `who` begins the error,
// "runs/a holds a run of". Nothing: they are the same. More epochs and nothing
// else under train.resume "extend": the epochs before. Throws kUsage otherwise.
std::optional<std::int64_t> require_same_run(const std::string& from,
                                             const Config& to, bool extend,
                                             const std::filesystem::path& run,
                                             const std::string& who);

}  // namespace music
