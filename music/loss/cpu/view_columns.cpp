#include "music/loss/cpu/view_columns.h"

namespace music::cpu {

void centre_columns(const ViewShape& s, const float* z, float* centred,
                    double* squares) {
  // Sums first, then, in their place, squares of what is left.
  for_column_chunks(s, [&](std::int64_t begin, std::int64_t end) {
    for (int v = 0; v < 2; ++v) {
      double sum[kColumnChunk] = {};
      for (std::int64_t i = v * s.n; i < (v + 1) * s.n; ++i) {
        const float* row = z + i * s.units + begin;
#pragma omp simd
        for (std::int64_t d = 0; d < end - begin; ++d)
          sum[d] += static_cast<double>(row[d]);
      }
      std::copy_n(sum, end - begin, squares + v * s.units + begin);
    }
  });
  sum_over_ranks(s, squares, 2 * s.units);
  for_column_chunks(s, [&](std::int64_t begin, std::int64_t end) {
    for (int v = 0; v < 2; ++v) {
      double mean[kColumnChunk], sum[kColumnChunk] = {};
      for (std::int64_t d = 0; d < end - begin; ++d)
        mean[d] = squares[v * s.units + begin + d] / s.samples;
      for (std::int64_t i = v * s.n; i < (v + 1) * s.n; ++i) {
        const float* row = z + i * s.units + begin;
        float* out = centred + i * s.units + begin;
#pragma omp simd
        for (std::int64_t d = 0; d < end - begin; ++d) {
          const float x =
              static_cast<float>(static_cast<double>(row[d]) - mean[d]);
          out[d] = x;
          sum[d] += static_cast<double>(x) * static_cast<double>(x);
        }
      }
      std::copy_n(sum, end - begin, squares + v * s.units + begin);
    }
  });
  sum_over_ranks(s, squares, 2 * s.units);
}

}  // namespace music::cpu
