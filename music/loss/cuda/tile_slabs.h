#pragma once
// A product of two views shared by the ranks of a communicator, by slabs of
// columns: the GPU's side of music/loss/cpu/tile_slabs.h.
//
// Rank r owns the columns of M of its slab. The codes B of its samples go to
// the slabs' owners and come back as dB; the codes A go round in panels, whose
// gather and whose reduction of dA run beside the products of the panels before
// and after. Of N samples n are this rank's: memory is the slab's [N, D / R]
// codes, dB and exchange block [n,D], and two panels; never A, B or M as a
// whole.

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "dist/communicator.h"
#include "music/loss/cuda/tile_panels.h"

namespace music::cuda {

class TileSlabs {
 public:
  // samples: of all ranks; product: of this rank's. slabs: column_slabs.h.
  // panel: units of A at a time, a multiple of 8 and the same on all ranks; 0:
  // as many as pay.
  TileSlabs(dist::Communicator& communicator, std::int64_t samples,
            std::vector<std::int64_t> slabs, const TileProduct& product,
            Gradients gradients, std::int64_t panel = 0);

  // The workspace is aligned to 256 bytes.
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  std::int64_t parts() const { return parts_; }
  std::int64_t first_column() const { return slab_[rank_]; }
  std::int64_t columns() const { return columns(rank_); }

  // Codes a, b [n,stride] of this rank's samples -> sums [parts()]: this slab's
  // parts of the sum of f; da, db [n,D] where they are wanted: the gradients
  // over all of M. All ranks together.
  void run(const void* a, const void* b, const TileRule& rule, float* da,
           float* db, double* sums, void* workspace, void* stream) const;

 private:
  struct Workspace;
  // Products of a panel of some width; none where this rank's slab is empty.
  struct Products {
    Gemm forward, second, first;  // M, dB, dA
  };
  std::size_t carve(void* base, Workspace& w) const;
  Products products(std::int64_t width) const;
  std::int64_t begin(std::int64_t p) const { return p * panel_; }
  std::int64_t width(std::int64_t p) const;
  std::int64_t columns(std::size_t rank) const {
    return slab_[rank + 1] - slab_[rank];
  }
  // Elements of a panel or slab's block for every rank: its samples by
  // `stride`.
  std::vector<std::int64_t> by_samples(std::int64_t stride) const;
  Tensor block(const void* data, std::int64_t count, DType dtype) const;
  // This rank's [n,D] from or to one block [n, padded columns of s] a rank s.
  void exchange_columns(bool split, std::byte* rows, std::int64_t row_stride,
                        std::byte* blocks, std::size_t element,
                        void* stream) const;

  dist::Communicator* communicator_;
  TileProduct product_;
  std::int64_t samples_, first_;  // of all; before mine in rank order
  Gradients gradients_;
  std::int64_t panel_ = 0, panels_ = 0;
  std::size_t rank_;
  std::vector<std::int64_t> slab_;             // [R + 1]
  std::vector<std::int64_t> shard_;            // [R], samples of each rank
  std::vector<std::int64_t> sent_, received_;  // elements of B by rank
  std::int64_t parts_ = 0;
  std::map<std::int64_t, Products> products_;  // by width: at most two
  std::size_t gemm_bytes_ = 0, workspace_bytes_ = 0;
};

}  // namespace music::cuda
