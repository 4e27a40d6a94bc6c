#pragma once
// The matrix P of joint probabilities on the GPU, in panels of columns, never
// whole: its part of the entropy off the diagonal blocks, and what it adds to
// dL/dq. Three matrix products a panel and one pass between them:
//
//   P = Q'^T Q''[:,J] / N;  G = log(P D_s' D_s''), 0 in the diagonal blocks
//   dQ''[:,J] = Q' G;       dQ' += Q''[:,J] G^T
//
// With F16 codes G is F16 too, and P is made in tiles that stay in the
// second-level cache; with F32 codes G takes P's place.

#include <cstddef>
#include <cstdint>
#include <map>

#include "engine/cuda/gemm.h"
#include "music/loss/cuda/entropy_codes.h"

namespace music::cuda {

// Columns of P at a time.
struct PanelWidths {
  std::int64_t panel = 0;  // of G: what dQ' is summed over at a time
  std::int64_t tile = 0;   // of P before it is G; no wider than the panel
};
// Panels as wide as pays, tiles of 32 MB: for D 8160 and F16 codes 67 MB and
// 33 MB, for F32 codes 33 MB in all.
PanelWidths panel_widths(const CodesPlan& codes);

// A block of P: rows and columns from `row` and `column` on.
struct BlockOfP {
  std::int64_t row, rows, column, columns;
};

// P of a block [rows, p_stride] to G, of the codes' type, [rows, g_stride]; g
// may be p, or null. row_scales, column_scales: unit_scale of entropy_codes.h
// from the block's first row and column on. entropy [centre_parts(rows)]: parts
// of the sum of P G. All but row_scales are read by 16 bytes.
void centre(const CodesPlan& codes, const BlockOfP& block,
            const float* row_scales, const float* column_scales, const float* p,
            std::int64_t p_stride, void* g, std::int64_t g_stride,
            double* entropy, void* stream);
std::int64_t centre_parts(std::int64_t rows);

class EntropyPanels {
 public:
  // gradient: dq is wanted. Widths are multiples of 8.
  EntropyPanels(const CodesPlan& codes, bool gradient,
                const PanelWidths& widths);

  // The workspace is aligned to 256 bytes.
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  std::int64_t parts() const { return parts_; }

  // codes [2N,stride] and unit_scale [2,stride] of entropy_codes.h -> entropy
  // [parts()]: parts of the sum of P log(P D_s' D_s'') off the diagonal blocks;
  // dq [2N,D], if wanted: dQ' and dQ''.
  void run(const void* codes, const float* unit_scale, float* dq,
           double* entropy, void* workspace, void* stream) const;

 private:
  // By number of columns: there are at most two widths of each.
  using Gemms = std::map<std::int64_t, Gemm>;
  void add(Gemms& gemms, std::int64_t columns, const GemmSpec& spec);

  CodesPlan plan_;
  bool gradient_;
  PanelWidths widths_;
  std::int64_t parts_ = 0;
  Gemms probabilities_, second_, first_;  // P, dQ'', dQ'
  std::size_t g_bytes_ = 0, tile_bytes_ = 0, gemm_bytes_ = 0;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace music::cuda
