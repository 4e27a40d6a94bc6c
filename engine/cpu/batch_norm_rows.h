#pragma once
// How the batch-norm bodies walk a tensor: as rows of `width` floats a group.
// Few channels are widened: k rows of C channels are one row of k*C, so that
// vector loops stay long. Reductions go over fixed chunks of rows: the result
// does not depend on the thread count.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/cpu/parallel.h"
#include "engine/ops/batch_norm.h"

namespace music::cpu {

struct BatchNormRows {
  std::int64_t groups, channels, count;  // count: values a channel, a group
  std::int64_t widen = 1, width, rows;   // rows a group, of `width` floats
  std::int64_t block_rows, chunks;

  BatchNormRows(const Shape& xs, int group_count)
      : groups(group_count),
        channels(xs[-1]),
        count(xs.elements() / channels / group_count) {
    while (widen * channels < 64 && count > 0 && count % (2 * widen) == 0)
      widen *= 2;
    width = widen * channels;
    rows = count / widen;
    // A block is read twice: it has to stay in the first-level cache.
    block_rows = std::clamp<std::int64_t>(8192 / width, 4, 1024);
    const std::int64_t blocks = (rows + block_rows - 1) / block_rows;
    chunks = std::min<std::int64_t>(blocks, 64);
  }

  std::size_t partial_bytes() const {
    return static_cast<std::size_t>(groups * chunks * 2 * width) * sizeof(double);
  }

  // Calls fn(group, first row, last row, double partial[2*width]) for every
  // block of rows; partials start at zero and are summed over blocks, chunks
  // and widened copies into out[group][0..C) and out[group][C..2C), then count.
  template <typename F>
  void reduce(double* partial, double* out, F&& fn) const {
    const std::int64_t blocks = (rows + block_rows - 1) / block_rows;
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < groups * chunks; ++i) {
      const std::int64_t g = i / chunks, chunk = i % chunks;
      double* p = partial + i * 2 * width;
      std::fill_n(p, 2 * width, 0.0);
      for (std::int64_t b = blocks * chunk / chunks;
           b < blocks * (chunk + 1) / chunks; ++b)
        fn(g, b * block_rows, std::min(rows, (b + 1) * block_rows), p);
    }
    // A piece of a group's sums a thread, each over the chunks in order.
    const std::int64_t piece = std::min<std::int64_t>(channels, 256);
    const std::int64_t pieces = (2 * channels + piece - 1) / piece;
    parallel_ranges(groups * pieces, 8192 / (piece * chunks) + 1,
                    [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t g = i / pieces;
        for (std::int64_t half = 0; half < 2; ++half) {
          // The columns of that half that the piece holds.
          const std::int64_t from = i % pieces * piece - half * channels;
          const std::int64_t a = std::max<std::int64_t>(0, from);
          const std::int64_t n = std::min(channels, from + piece) - a;
          if (n <= 0) continue;
          double* o = out + g * (2 * channels + 1) + half * channels + a;
          std::fill_n(o, n, 0.0);
          for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
            const double* p =
                partial + (g * chunks + chunk) * 2 * width + half * width + a;
            for (std::int64_t k = 0; k < widen; ++k)
#pragma omp simd
              for (std::int64_t j = 0; j < n; ++j) o[j] += p[k * channels + j];
          }
        }
      }
    });
    for (std::int64_t g = 0; g < groups; ++g)
      out[g * (2 * channels + 1) + 2 * channels] = static_cast<double>(count);
  }

  // fn(group, first row, last row) over all rows, shared among threads.
  template <typename F>
  void for_rows(F&& fn) const {
    const std::int64_t grain = std::max<std::int64_t>(1, 8192 / width);
    for (std::int64_t g = 0; g < groups; ++g)
      parallel_ranges(rows, grain,
                      [&](std::int64_t a, std::int64_t b) { fn(g, a, b); });
  }

  // First element of a row.
  std::int64_t at(std::int64_t group, std::int64_t row) const {
    return (group * rows + row) * width;
  }
};

// fn(first column, columns): 64 columns at a time as a compile-time constant,
// then the rest.
template <typename F>
void for_column_tiles(std::int64_t width, F&& fn) {
  std::int64_t c = 0;
  for (; c + 64 <= width; c += 64)
    fn(c, std::integral_constant<std::int64_t, 64>{});
  if (c < width) fn(c, width - c);
}

}  // namespace music::cpu
