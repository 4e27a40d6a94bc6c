#pragma once
// A product of two views on the GPU, M = scale A^T B, in panels of columns,
// never whole: the sum of a tile rule's f over it, and what f' adds to the
// gradients. Three matrix products a panel and one pass between them:
//
//   M = scale A^T B[:,J];  G = f'(M)
//   dB[:,J] = A G;         dA += B[:,J] G^T
//
// With F16 codes G is F16 too, and M is made in tiles that stay in the
// second-level cache; with F32 codes G takes M's place. Where only dB is wanted
// the last product falls away.

#include <cstddef>
#include <cstdint>
#include <map>

#include "engine/cuda/gemm.h"
#include "music/loss/cuda/tile_rule.h"
#include "music/loss/gradients.h"
#include "music/loss/panel_widths.h"

namespace music::cuda {

// The matrices that are multiplied: codes, A and B times 1 / unscale, rounded.
struct TileProduct {
  std::int64_t n, units;  // of this process's samples; D
  std::int64_t stride;    // elements between rows of the codes, a multiple of 8
  DType codes;            // F32 or F16
  float scale;            // M over the product of the codes
  float unscale;
};

using music::PanelWidths;

class TilePanels {
 public:
  // Widths are multiples of 8.
  TilePanels(const TileProduct& product, Gradients gradients,
             const PanelWidths& widths);

  // The workspace is aligned to 256 bytes.
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  std::int64_t parts() const { return parts_; }

  // Codes a, b [n,stride] -> sums [parts()]: parts of the sum of f; da, db
  // [n,D] where they are wanted, da a multiple of 16 bytes.
  void run(const void* a, const void* b, const TileRule& rule, float* da,
           float* db, double* sums, void* workspace, void* stream) const;

 private:
  // By number of columns: there are at most two widths of each.
  using Gemms = std::map<std::int64_t, Gemm>;
  void add(Gemms& gemms, std::int64_t columns, const GemmSpec& spec);

  TileProduct product_;
  Gradients gradients_;
  PanelWidths widths_;
  std::int64_t parts_ = 0;
  Gemms forward_, second_, first_;  // M, dB, dA
  std::size_t g_bytes_ = 0, tile_bytes_ = 0, gemm_bytes_ = 0;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace music::cuda
