#pragma once
// Features in files, of whatever program: a folder with features.npy [n, d] and
// labels.npy [n], as music_features writes it.

#include <filesystem>
#include <memory>

#include "data/dataset.h"
#include "music/eval/features.h"

namespace music {

// Labels, and for a fingerprint the rows as stored: no pixels. Classes are
// numbers. features: f32, f16 or f64; labels: i64, i32 or u8. Throws kData in
// one line.
std::unique_ptr<data::Dataset> open_stored_features(
    const std::filesystem::path& folder);

// Part `rank` of `world` consecutive ones, as float.
Features read_stored_features(const std::filesystem::path& folder, int rank = 0,
                              int world = 1);

}  // namespace music
