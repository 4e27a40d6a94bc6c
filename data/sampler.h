#pragma once
// Which samples form which batch: torch's DistributedSampler with shuffling
// and drop_last=false, but keyed by Philox. A pure function of (n, batch, seed,
// epoch, batch index, rank, world).

#include <cstdint>
#include <vector>

namespace music::data {

// The order of epoch: Fisher-Yates by Rng(seed, kShuffle, epoch).
std::vector<std::uint32_t> permutation(std::int64_t n, std::uint64_t seed,
                                       std::uint32_t epoch);

class Sampler {
 public:
  // batch: samples of one rank in one step. The epoch's permutation is padded
  // by repetition to a multiple of world; rank takes every world-th element,
  // so step k of R ranks with N/R samples has the samples of one rank with N.
  Sampler(std::int64_t n, std::int64_t batch, std::uint64_t seed, int rank = 0,
          int world = 1);

  std::int64_t samples_per_epoch() const { return per_rank_; }  // of this rank
  std::int64_t batches_per_epoch() const {
    return (per_rank_ + batch_ - 1) / batch_;
  }
  // batch, or less for the last of an epoch; equal on all ranks.
  std::int64_t batch_size(std::int64_t index) const;
  // Sample numbers of one batch. Keeps the last epoch's permutation; not
  // thread-safe.
  void indices(std::int64_t epoch, std::int64_t index,
               std::vector<std::int64_t>& out);

 private:
  std::int64_t n_, batch_, per_rank_;
  std::uint64_t seed_;
  int rank_, world_;
  std::int64_t epoch_ = -1;
  std::vector<std::uint32_t> order_;  // of epoch_
};

}  // namespace music::data
