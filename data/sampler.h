#pragma once
// Which samples form which batch: a pure function of (n, batch, seed, epoch,
// batch index, rank, world). What a batch holds does not depend on the number
// of processes that share it; nothing is dropped unless that is asked for.

#include <cstdint>
#include <vector>

namespace music::data {

// The order of epoch: Fisher-Yates by Rng(seed, kShuffle, epoch).
std::vector<std::uint32_t> permutation(std::int64_t n, std::uint64_t seed,
                                       std::uint32_t epoch);

class Sampler {
 public:
  // batch: samples of all ranks in one step. Batch k is the k-th piece of the
  // epoch's permutation, and a rank takes every world-th of it, from its own
  // number on: none where the piece has fewer samples than there are ranks. The
  // last piece may be shorter. drop_last: a shorter last piece is left out; then
  // n is at least batch.
  Sampler(std::int64_t n, std::int64_t batch, std::uint64_t seed, int rank = 0,
          int world = 1, bool drop_last = false);

  std::int64_t batches_per_epoch() const { return batches_; }
  // Samples of all ranks: batch, or less for the last of an epoch.
  std::int64_t batch_total(std::int64_t index) const;
  // Samples of this rank, perhaps none; ranks differ by at most one.
  std::int64_t batch_size(std::int64_t index) const;
  std::int64_t samples_per_epoch() const;  // of all ranks
  // Sample numbers of one batch. Keeps the last epoch's permutation; not
  // thread-safe.
  void indices(std::int64_t epoch, std::int64_t index,
               std::vector<std::int64_t>& out);

 private:
  std::int64_t n_, batch_, batches_;
  std::uint64_t seed_;
  int rank_, world_;
  std::int64_t epoch_ = -1;
  std::vector<std::uint32_t> order_;  // of epoch_
};

}  // namespace music::data
