#pragma once
// The nearest of each image among all, tile by tile: images that ask share a tile
// while it is in cache.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "music/codes/top_matches.h"

namespace music {

// out [images, k], k < images. code_of(i): what image i is compared by.
// make_score(): of one thread, an object whose (t, code) gives the scores of the
// images of tile t. done: the share of the work, now and then.
template <typename CodeOf, typename MakeScore>
void tile_neighbours(std::int64_t images, std::int64_t tile, std::int64_t k,
                     const CodeOf& code_of, const MakeScore& make_score,
                     std::span<CodeMatch> out,
                     const std::function<void(double)>& done) {
  constexpr std::int64_t kPart = 64, kBlock = 4096;
  for (std::int64_t block = 0; block < images; block += kBlock) {
    const std::int64_t end = std::min(block + kBlock, images);
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t part = block; part < end; part += kPart) {
      const std::int64_t count = std::min(kPart, end - part);
      std::vector<decltype(code_of(part))> codes;
      for (std::int64_t i = 0; i < count; ++i) codes.push_back(code_of(part + i));
      std::vector<TopMatches> tops(codes.size(), TopMatches(k));
      auto score = make_score();
      for (std::int64_t first = 0; first < images; first += tile)
        for (std::int64_t i = 0; i < count; ++i)
          tops[static_cast<std::size_t>(i)].offer(
              first, score(first / tile, codes[static_cast<std::size_t>(i)]),
              std::min(tile, images - first), part + i);
      for (std::int64_t i = 0; i < count; ++i)
        std::ranges::copy(tops[static_cast<std::size_t>(i)].sorted(),
                          out.begin() + (part + i) * k);
    }
    if (done) done(static_cast<double>(end) / static_cast<double>(images));
  }
}

}  // namespace music
