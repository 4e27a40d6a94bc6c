#pragma once
// Test images that are training images, under whatever name.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"

namespace music {

// The same file once more, as of a list with a line an object.
struct Repeats {
  std::int64_t again = 0;
  std::int64_t otherwise = 0;  // of these, under another label
  std::string first;
};

struct Overlap {
  std::int64_t tested = 0;  // test images, and those whose contents were compared
  std::int64_t compared = 0;
  // The same file, by whatever path or symbolic link, or part of a file.
  std::int64_t same = 0;
  std::string first_same;
  // Other files with the same contents: copies, hard links, members of archives.
  std::int64_t copies = 0;
  std::int64_t distinct_copies = 0;  // contents of these
  std::pair<std::string, std::string> first_copy;  // of test and training
  Repeats train_repeats, test_repeats;
};

// Contents are compared of all images where they are in memory or these are up to
// `whole`; else of `sampled` evenly spaced test images with the training images
// of the same file name.
struct OverlapLimits {
  std::int64_t whole = 20'000, sampled = 1000;
};
Overlap find_overlap(const data::Dataset& train, const data::Dataset& test,
                     const OverlapLimits& limits = {});

// Throws kData for test images that are training images: any that is the same
// file, or copies of different contents that are more than half. Fewer copies, and
// images that stand twice, are what a reader of the score must know, one line
// each. The paths are for messages.
std::vector<std::string> refuse_overlap(const data::Dataset& train,
                                        const std::string& train_path,
                                        const data::Dataset& test,
                                        const std::string& test_path);

}  // namespace music
