#include "data/sampler.h"

#include <limits>
#include <numeric>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "engine/core/shard.h"

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
                 int rank, int world, bool drop_last)
    : n_(n), batch_(batch), seed_(seed), rank_(rank), world_(world) {
  MUSIC_CHECK(n >= 1 && n <= std::numeric_limits<std::uint32_t>::max(),
              "[sampler] {} samples, expected 1 to 2^32 - 1", n);
  MUSIC_CHECK(rank >= 0 && rank < world, "[sampler] rank {} of {}", rank,
              world);
  MUSIC_CHECK(batch >= 1, "[sampler] a batch of {} samples, expected at least 1",
              batch);
  MUSIC_CHECK(!drop_last || n >= batch,
              "[sampler] {} samples and no short batches of {}, expected at "
              "least one batch", n, batch);
  batches_ = drop_last ? n / batch : (n + batch - 1) / batch;
}

std::int64_t Sampler::batch_total(std::int64_t index) const {
  MUSIC_CHECK(index >= 0 && index < batches_per_epoch(),
              "[sampler] batch {} of {}", index, batches_per_epoch());
  return std::min(batch_, n_ - index * batch_);
}

std::int64_t Sampler::batch_size(std::int64_t index) const {
  return shard_size(batch_total(index), rank_, world_);
}

std::int64_t Sampler::samples_per_epoch() const {
  const std::int64_t last = batches_per_epoch() - 1;
  return last * batch_ + batch_total(last);
}

void Sampler::indices(std::int64_t epoch, std::int64_t index,
                      std::vector<std::int64_t>& out) {
  const std::int64_t count = batch_size(index);
  if (epoch != epoch_) {
    order_ = permutation(n_, seed_, static_cast<std::uint32_t>(epoch));
    epoch_ = epoch;
  }
  out.resize(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    out[static_cast<std::size_t>(i)] = order_[static_cast<std::size_t>(
        index * batch_ + rank_ + world_ * i)];
}

}  // namespace music::data
