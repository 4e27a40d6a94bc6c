#pragma once
// Images that could not be read, and how many are too many.

#include <cstdint>
#include <string>

namespace music::data {

struct BadSample {
  std::int64_t epoch, sample;
  std::string name, reason;
  std::int64_t place = 0;  // in the epoch, of the sample that it was read for
};

// Bad images that an epoch or an evaluation of so many may have, on all ranks
// together: the share, and three however few there are.
std::int64_t bad_allowed(std::int64_t images, double share);
// kData where `bad` of them were more. last: names one, or is empty.
void check_bad(std::int64_t bad, std::int64_t images, double share,
               const std::string& last = "");

}  // namespace music::data
