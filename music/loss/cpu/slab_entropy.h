#pragma once
// The entropy of P shared by the ranks of a communicator, by slabs of columns.
//
// Rank r owns the columns of P of its slab: whole segments, nearly D / R units.
// Its samples of q'' go to the slabs' owners and come back as dq''; q' goes
// round in panels of rows, so that no rank ever holds more than its slab and
// four panels: O(N D / R + panel) memory. A panel's gather and the reduction of
// its dq' are under way while its neighbours are computed.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "music/loss/cpu/entropy_panel.h"

namespace music::cpu {

// Units of q' in a panel: large enough for the network, small beside a slab.
std::int64_t panel_units(std::int64_t samples, std::int64_t units);

class SlabEntropy {
 public:
  // samples: of all ranks; this one has shard_size() of them.
  SlabEntropy(dist::Communicator& communicator, std::int64_t samples,
              const Segments& segments, int threads, bool gradient);

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  // Returns this slab's part of what EntropyPanel::run() sums over P. q1, q2:
  // this rank's samples [n,D]; dq1, dq2 [n,D] become the sums over all of P (0
  // without gradient). All ranks together.
  double run(const float* q1, const float* q2, float* dq1, float* dq2,
             void* workspace) const;

 private:
  struct Workspace;
  std::size_t carve(void* base, Workspace& w) const;
  // This rank's [n,D] as one block [n, columns of s] a rank s, and back.
  void split_columns(const float* rows, float* blocks) const;
  void join_columns(const float* blocks, float* rows) const;

  dist::Communicator* communicator_;
  std::int64_t samples_, units_, mine_, first_;  // first_: samples before mine
  bool gradient_;
  EntropyPanel panel_;
  std::int64_t panel_units_, panels_;
  std::vector<std::int64_t> slab_;     // [R + 1]
  std::vector<std::int64_t> shard_;    // [R], samples of each rank
  std::vector<std::int64_t> sent_, received_;  // elements of q'' by rank
  std::size_t workspace_bytes_ = 0;
};

}  // namespace music::cpu
