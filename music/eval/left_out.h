#pragma once
// Images that a score is not of, because they cannot be read.

#include <cstdint>
#include <string>
#include <vector>

#include "data/loader.h"
#include "dist/communicator.h"

namespace music {

struct LeftOut {
  static constexpr std::size_t kNamed = 3;

  std::int64_t count = 0;
  std::vector<data::BadSample> first;  // up to kNamed, in the data's order

  LeftOut() = default;
  LeftOut(std::vector<data::BadSample> all);
};

// Of all processes, each of which had a consecutive part of the images, in rank
// order. Collective.
LeftOut gather(const LeftOut& mine, dist::Communicator& communicator);

// "2 of 60 test images cannot be read and are left out: a.jpg ([decode] ...), ...";
// "" where there are none.
std::string describe(const LeftOut& left_out, std::int64_t images,
                     const std::string& which);

}  // namespace music
