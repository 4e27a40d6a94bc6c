#pragma once
// The matrix P of joint probabilities shared by the ranks of a communicator, by
// slabs of columns: the GPU's side of music/loss/cpu/slab_entropy.h.
//
// Rank r owns the columns of P of its slab, whole segments. The codes q'' of
// its samples go to the slabs' owners and come back as dq''; the codes q' go
// round in panels, whose gather and whose reduction of dq' run beside the
// products of the panels before and after. Of N samples n are this rank's:
// memory is the slab's [N, D / R] codes, dq'' and exchange block [n,D], and two
// panels; never q', q'' or P as a whole.

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "dist/communicator.h"
#include "music/loss/cuda/entropy_panel.h"

namespace music::cuda {

class SlabEntropy {
 public:
  // samples: of all ranks; codes: of this rank's. gradient: dq is wanted.
  // panel: units of q' at a time, a multiple of 8 and the same on all ranks; 0:
  // as many as pay.
  SlabEntropy(dist::Communicator& communicator, std::int64_t samples,
              const Segments& segments, const CodesPlan& codes, bool gradient,
              std::int64_t panel = 0);

  // The workspace is aligned to 256 bytes.
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  std::int64_t parts() const { return parts_; }

  // codes [2n,stride] and unit_scale [2,stride] of this rank's samples and of
  // the sums over all of them -> entropy [parts()]: this slab's parts of the
  // sum of P log(P D_s' D_s''); dq [2n,D], if wanted: dQ' and dQ'' over all of
  // P. All ranks together.
  void run(const void* codes, const float* unit_scale, float* dq,
           double* entropy, void* workspace, void* stream) const;

 private:
  struct Workspace;
  // Products of a panel of some width; none where this rank's slab is empty.
  struct Products {
    Gemm probabilities, second, first;  // P, dQ'', dQ'
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
  CodesPlan plan_;
  std::int64_t samples_, first_;  // of all; before mine in rank order
  bool gradient_;
  std::int64_t panel_ = 0, panels_ = 0;
  std::size_t rank_;
  std::vector<std::int64_t> slab_;             // [R + 1]
  std::vector<std::int64_t> shard_;            // [R], samples of each rank
  std::vector<std::int64_t> sent_, received_;  // elements of q'' by rank
  std::int64_t parts_ = 0;
  std::map<std::int64_t, Products> products_;  // by width: at most two
  std::size_t gemm_bytes_ = 0, workspace_bytes_ = 0;
};

}  // namespace music::cuda
