#pragma once
// Test images that are training images, under whatever name.

#include <cstdint>
#include <string>
#include <utility>

#include "data/dataset.h"

namespace music {

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
};

// Contents are compared of all images where they are in memory or these are up to
// `whole`; else of `sampled` evenly spaced test images with the training images
// of the same file name.
struct OverlapLimits {
  std::int64_t whole = 20'000, sampled = 1000;
};
Overlap find_overlap(const data::Dataset& train, const data::Dataset& test,
                     const OverlapLimits& limits = {});

// "2 of 8 test images stand there a second time, ...": the same file, as of a list
// with a line an object; "" where there is none. which: "training" or "test".
std::string repeated_images(const data::Dataset& images, const std::string& which);

// Throws kData for test images that are training images: any that is the same
// file, or copies of different contents that are more than half. Fewer copies:
// what a reader of the score must know, else "". The paths are for messages.
std::string refuse_overlap(const data::Dataset& train,
                           const std::string& train_path,
                           const data::Dataset& test,
                           const std::string& test_path);

}  // namespace music
