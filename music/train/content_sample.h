#pragma once
// What some of the images hold, so that a run which goes on can tell that others
// have come to stand under their names. Names, labels and their number are
// compared apart (run_identity.h).

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace music {

// "0=1f0c... 781=93ab...": number and hash of up to 64 images, evenly spread, as
// they are stored. One that cannot be read has the hash "bad".
std::string content_sample(const data::Dataset& dataset);

// Warns where another sample of this data set than in the checkpoint `where`.
void warn_of_changes(const std::string& before, const std::string& now,
                     const data::Dataset& dataset,
                     const std::filesystem::path& where);

// Names of those whose hash is another one in `now`, a sample of this data set;
// those that could not be read then or now are left out.
std::vector<std::string> changed_content(const std::string& before,
                                         const std::string& now,
                                         const data::Dataset& dataset);

}  // namespace music
