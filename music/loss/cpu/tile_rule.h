#pragma once
// What a loss does with the elements of a product of two views, M = scale A^T B:
// a sum of f over them, and f' in their place. The product never stands as a
// whole: tile_panel.h makes it in tiles, which this sees while they are in cache.

#include <cstdint>

namespace music::cpu {

class TileRule {
 public:
  virtual ~TileRule() = default;
  // tile [rows, columns], contiguous: elements of M from `row` and `column` on,
  // replaced by f'. Returns the sum of f. Called by several threads at once.
  virtual double apply(float* tile, std::int64_t row, std::int64_t rows,
                       std::int64_t column, std::int64_t columns) const = 0;
  // f and f' of all elements there are 0, whatever they are: the tile need not
  // be made.
  virtual bool is_zero(std::int64_t /*row*/, std::int64_t /*rows*/,
                       std::int64_t /*column*/,
                       std::int64_t /*columns*/) const {
    return false;
  }
};

}  // namespace music::cpu
