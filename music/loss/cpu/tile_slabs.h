#pragma once
// A product of two views, M = scale A^T B, shared by the ranks of a
// communicator, by slabs of columns.
//
// Rank r owns the columns of M of its slab, nearly D / R units. Its samples of
// B go to the slabs' owners and come back as dB; A goes round in panels of
// rows of M, so that no rank ever holds more than its slab and four panels:
// O(N D / R + panel) memory. A panel's gather and the reduction of its dA are
// under way while its neighbours are computed.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "music/loss/cpu/tile_panel.h"
#include "music/loss/gradients.h"

namespace music::cpu {

// Units of A in a panel: large enough for the network, small beside a slab.
std::int64_t panel_units(std::int64_t samples, std::int64_t units);

class TileSlabs {
 public:
  // samples: of all ranks; this one has shard_size() of them. slabs: first
  // column of each rank's, and D (column_slabs.h).
  TileSlabs(dist::Communicator& communicator, std::int64_t samples, float scale,
            std::vector<std::int64_t> slabs, int threads, Gradients gradients);

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  // Returns this slab's part of what TilePanel::run() sums over M. a, b: this
  // rank's samples [n,D]; da, db [n,D] become the sums over all of M where they
  // are wanted. Otherwise da is not used; db is scratch in any case. All ranks
  // together.
  double run(const float* a, const float* b, const TileRule& rule, float* da,
             float* db, void* workspace) const;

 private:
  struct Workspace;
  std::size_t carve(void* base, Workspace& w) const;
  // This rank's [n,D] as one block [n, columns of s] a rank s, and back.
  void split_columns(const float* rows, float* blocks) const;
  void join_columns(const float* blocks, float* rows) const;

  dist::Communicator* communicator_;
  std::int64_t samples_, units_, mine_, first_;  // first_: samples before mine
  Gradients gradients_;
  TilePanel panel_;
  std::int64_t panel_units_, panels_;
  std::vector<std::int64_t> slab_;     // [R + 1]
  std::vector<std::int64_t> shard_;    // [R], samples of each rank
  std::vector<std::int64_t> sent_, received_;  // elements of B by rank
  std::size_t workspace_bytes_ = 0;
};

}  // namespace music::cpu
