#pragma once
// Are segments and attributes dependent? By permutation: the values of an
// attribute are dealt anew to the images that have one, in one order for all
// segments and attributes, so that what is largest over all pairs is seen as it
// comes by chance while segments depend on each other as they do.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace music {

// A categorical variable of n images: of[i] in [0, values), or kUnknown.
struct Labels {
  static constexpr std::uint16_t kUnknown = 0xFFFF;
  std::int64_t values = 0;
  std::span<const std::uint16_t> of;
};

struct PermutationSpec {
  std::int64_t permutations = 1000;
  std::uint64_t seed = 0;
  std::function<void(double)> done;  // share of the work, as it goes
};

struct PermutationResult {  // [codes, attributes]
  // (1 + permutations with as much information) / (1 + permutations), which is
  // exact (Phipson and Smyth, 2010). 1 where one of the two is constant.
  std::vector<double> p;
  // The same for the largest statistic of all pairs (Westfall and Young, 1993,
  // single step): P(any of these at or below `a` by chance) <= a. The statistic
  // is the information over its expectation, by Wilson and Hilferty's cube
  // root made alike for tables of any size; a pair's margins fix the
  // scale, so it changes no p.
  std::vector<double> adjusted;
};

// codes: one a segment, all known. Counts are whole numbers and x log x is summed in
// fixed point, so results and ties do not depend on order or threads.
PermutationResult permutation_test(std::span<const Labels> codes,
                                   std::span<const Labels> attributes,
                                   const PermutationSpec& spec);

// Benjamini and Hochberg's: the least false discovery rate at which each is found.
std::vector<double> benjamini_hochberg(std::span<const double> p);

// Order `index` of n images (Fisher-Yates); which: 0 for permutations, 1 for halves.
std::vector<std::uint32_t> drawn_order(std::int64_t n, std::uint64_t seed,
                                       std::uint32_t index, std::uint32_t which);

}  // namespace music
