#pragma once
// The vector kernels of Winograd convolution (winograd.h), compiled for every
// instruction set and picked from at run time.
//
// F(4x4,3x3): a tile of 4x4 outputs comes from 6x6 inputs through 36 products
// in place of 144 (Lavin and Gray, arXiv:1509.09308). Products of one position
// p = 0..35 of all tiles and channels are one matrix product.

#include <cstdint>

namespace music::cpu::winograd {

inline constexpr int kOut = 4, kIn = 6, kPositions = kIn * kIn;

// A feature map [n,h,w,c] and the tiles of `out_h` x `out_w` outputs over it:
// tile t of [n, ceil(out_h/4), ceil(out_w/4)] begins at row 4 ty, column 4 tx.
struct Map {
  std::int64_t h, w, c;
  std::int64_t tiles_h, tiles_w;
};

// The panel of U = G g G^T whose output channels are [first, first + columns),
// as [36, inputs, columns]; of it input channels [begin, end) and, of each six
// positions, those of `part`. w is [K,3,3,C]; of a forward pass inputs are C and outputs K;
// `transposed`: inputs are K, outputs C and taps are turned by 180 degrees, as the
// data gradient wants them.
struct Part {
  int first = 0, last = kIn;
};
void pack_weights(const float* w, std::int64_t k, std::int64_t c,
                  bool transposed, std::int64_t first, std::int64_t columns,
                  std::int64_t begin, std::int64_t end, Part part, float* u);

// V[p][t - first][c] = (B^T d B)[p] for tiles [first, last); d begins `pad`
// rows and columns before the tile; `row` elements from one tile to the next,
// `step` from one p to the next.
void transform_input(const Map& x, std::int64_t pad, const float* data,
                     std::int64_t first, std::int64_t last, float* v,
                     std::int64_t row, std::int64_t step);

// What follows the sum: y = [relu](A^T M A + bias [+ y]).
struct Epilogue {
  const float* bias = nullptr;  // [channels of the map], or none
  bool add = false;             // to what y holds
  bool relu = false;
};

// Tiles [first, last) of y from M[p][t - first][k].
void transform_output(const Map& y, const float* m, std::int64_t step,
                      std::int64_t first, std::int64_t last,
                      const Epilogue& after, float* data);

// Z[p] = (A dy A^T)[p] for tiles [first, last), as panels [channels of dy /
// panel, block, columns of the panel] with tile `first` in row `at`.
void transform_gradient(const Map& y, const float* data, std::int64_t first,
                        std::int64_t last, float* z, std::int64_t at,
                        std::int64_t block, std::int64_t step);

// dw[k][3][3][c] = G^T dU G of output channels [first, first + columns) and input
// channels [begin, end); du [36, end - begin, columns] is theirs.
void weight_gradient(const float* du, std::int64_t c, std::int64_t first,
                     std::int64_t columns, std::int64_t begin,
                     std::int64_t end, float* dw);

}  // namespace music::cpu::winograd
