#pragma once
// The codes q of both views of a batch on the GPU, and what comes with them:
// the softmax of each segment, the diagonal of P, the mean codes.

#include <cstddef>
#include <cstdint>

#include "engine/core/dtype.h"
#include "music/loss/cuda/segment_table.h"

namespace music::cuda {

// F16 codes are q 2^15: what the clamp leaves, 1e-8 to 1, are normal numbers.
constexpr float code_scale(DType codes) {
  return codes == DType::kF16 ? 32768.0f : 1.0f;
}

// Of one segment of one view of one sample: q = exp((z - max) / T) / sum before
// the clamp; mass is the sum of q after it, 1 and what the clamp added.
struct SegmentSoftmax {
  float max, sum, mass;
};

// Shapes, fixed when the kernel is made.
struct CodesPlan {
  CodesPlan(std::int64_t samples, const SegmentTable& segments, DType codes);

  std::int64_t n;
  SegmentTable segments;
  DType codes;          // F32 or F16
  std::int64_t stride;  // elements between rows of the codes: D, padded
  std::int64_t rows, chunks;   // samples a chunk, chunks of a batch
  std::int64_t column_blocks;  // of finish_columns
  std::size_t codes_bytes, softmax_bytes, partial_bytes, totals_bytes;
};

// z [2N,D] -> codes [2N,stride], softmax [2,N,S] and, by chunk of samples,
// partial [chunks,5,D]: sums of q', q'', q' q'' and of what rounding added to
// the codes of q' and q''.
void encode(const CodesPlan& plan, float inverse_temperature, float clamp,
            const float* z, void* codes, SegmentSoftmax* softmax,
            float* partial, void* stream);

// partial -> totals [5,D]: its sums over all samples of this process. Those of
// processes that share P are added up before finish_columns().
void total_columns(const CodesPlan& plan, const float* partial, double* totals,
                   void* stream);

// What follows from the totals, by unit.
struct Columns {
  float* diagonal;  // [D], weight (log P_aa + 1) / samples
  float* mean_q;    // [2,D], totals over mean_samples
  // [2,stride], D_s times the mean of q over that of its codes: P of the codes
  // times the values of both units is P D_s' D_s''. Where codes are nearly
  // uniform that is nearly 1, and most of what rounding them leaves in P is
  // alike in a whole row or column: the quotient of the means takes it out.
  float* unit_scale;
  double* entropy;  // [column_blocks], parts of the diagonal's sum of P log P
};
// samples: that P is the mean of.
void finish_columns(const CodesPlan& plan, const double* totals,
                    std::int64_t samples, std::int64_t mean_samples,
                    double weight, const Columns& columns, void* stream);

}  // namespace music::cuda
