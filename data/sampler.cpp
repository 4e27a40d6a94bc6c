#include "data/sampler.h"

#include <limits>
#include <numeric>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace music::data {

std::vector<std::uint32_t> permutation(std::int64_t n, std::uint64_t seed,
                                       std::uint32_t epoch) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0u);
  Rng rng(seed, RngPurpose::kShuffle, epoch);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[rng.below(static_cast<std::uint32_t>(i))]);
  return order;
}

Sampler::Sampler(std::int64_t n, std::int64_t batch, std::uint64_t seed,
                 int rank, int world)
    : n_(n), batch_(batch), per_rank_((n + world - 1) / world), seed_(seed),
      rank_(rank), world_(world) {
  MUSIC_CHECK(n >= 1 && n <= std::numeric_limits<std::uint32_t>::max(),
              "[sampler] {} samples, expected 1 to 2^32 - 1", n);
  MUSIC_CHECK(batch >= 1, "[sampler] batch is {}, expected >= 1", batch);
  MUSIC_CHECK(rank >= 0 && rank < world, "[sampler] rank {} of {}", rank,
              world);
}

std::int64_t Sampler::batch_size(std::int64_t index) const {
  MUSIC_CHECK(index >= 0 && index < batches_per_epoch(),
              "[sampler] batch {} of {}", index, batches_per_epoch());
  return std::min(batch_, per_rank_ - index * batch_);
}

void Sampler::indices(std::int64_t epoch, std::int64_t index,
                      std::vector<std::int64_t>& out) {
  const std::int64_t count = batch_size(index);
  if (epoch != epoch_) {
    order_ = permutation(n_, seed_, static_cast<std::uint32_t>(epoch));
    epoch_ = epoch;
  }
  out.resize(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t position = rank_ + world_ * (index * batch_ + i);
    out[static_cast<std::size_t>(i)] =
        order_[static_cast<std::size_t>(position % n_)];
  }
}

}  // namespace music::data
