#include "music/codes/code_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/core/error.h"
#include "music/codes/soft_codes.h"
#include "music/eval/codes.h"

namespace music {
namespace {

constexpr double kDeadShare = 0.05;  // of a unit's fair share, as in training's health
constexpr std::int64_t kUnitsAtOnce = 64;  // that a thread sums

std::size_t to_size(std::int64_t i) { return static_cast<std::size_t>(i); }

bool surer(const SurestImage& a, const SurestImage& b) {
  return a.q != b.q ? a.q > b.q : a.sample < b.sample;
}

// Entropy of counts in nats, and how many are not 0.
struct CellEntropy {
  double entropy = 0;
  std::int64_t cells = 0;
};
CellEntropy cell_entropy(std::span<const std::uint32_t> counts, double n) {
  CellEntropy result;
  double sum = 0;
  for (const std::uint32_t c : counts)
    if (c > 0) {
      sum += c * std::log(static_cast<double>(c));
      ++result.cells;
    }
  result.entropy = std::log(n) - sum / n;
  return result;
}

}  // namespace

CodeStatistics::CodeStatistics(CodeStatisticsSpec spec)
    : spec_(std::move(spec)), surest_(spec_.units.size()) {
  const Segments& segments = spec_.segments;
  code_width(segments);  // throws where a code does not fit 16 bits
  for (const std::int64_t unit : spec_.units)
    if (unit < 0 || unit >= segments.units())
      throw error(ExitCode::kUsage, "[codes] unit {}, expected one of 0 to {}", unit,
                  segments.units() - 1);
  sums_.resize(to_size(segments.units()));
  wins_.resize(to_size(segments.units()));
  std::size_t cells = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s)
    for (std::int64_t t = s + 1; t < segments.count(); ++t) {
      pair_at_.push_back(cells);
      cells += to_size(segments.size(s) * segments.size(t));
    }
  pairs_.resize(cells);
}

void CodeStatistics::add(const float* z, std::span<const std::int64_t> samples) {
  const Segments& segments = spec_.segments;
  const std::int64_t n = std::ssize(samples), units = segments.units();
  const std::int64_t count = segments.count();
  q_.resize(to_size(n * units));
  soft_codes(z, n, segments, spec_.temperature, q_.data());
  images_ += n;
#pragma omp parallel for schedule(static)
  for (std::int64_t begin = 0; begin < units; begin += kUnitsAtOnce)
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t d = begin; d < std::min(begin + kUnitsAtOnce, units); ++d)
        sums_[to_size(d)] += static_cast<double>(q_[to_size(i * units + d)]);
  codes_.resize(to_size(n * count));
  std::vector<std::uint16_t> code(to_size(count));
  for (std::int64_t i = 0; i < n; ++i) {
    segment_codes(z + i * units, segments, code.data());
    for (std::int64_t s = 0; s < count; ++s) {
      codes_[to_size(s * n + i)] = code[to_size(s)];
      ++wins_[to_size(segments.begin(s) + code[to_size(s)])];
    }
    keep_surest(q_.data() + i * units, samples[to_size(i)]);
  }
  count_pairs(n);
}

void CodeStatistics::keep_surest(const float* q, std::int64_t sample) {
  for (std::size_t i = 0; i < surest_.size(); ++i) {
    std::vector<SurestImage>& heap = surest_[i];
    const SurestImage image{sample, q[spec_.units[i]]};
    if (std::ssize(heap) < spec_.per_unit) {
      heap.push_back(image);
      std::ranges::push_heap(heap, surer);
    } else if (!heap.empty() && surer(image, heap.front())) {
      std::ranges::pop_heap(heap, surer);
      heap.back() = image;
      std::ranges::push_heap(heap, surer);
    }
  }
}

// A pair's cells are few enough to stay in cache while a batch is counted.
void CodeStatistics::count_pairs(std::int64_t n) {
  const Segments& segments = spec_.segments;
  const std::int64_t count = segments.count();
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t s = 0; s < count - 1; ++s) {
    // Pairs (s, t) stand behind those of the segments before s.
    std::size_t pair = to_size(s * count - s * (s + 1) / 2);
    for (std::int64_t t = s + 1; t < count; ++t, ++pair) {
      std::uint32_t* cells = pairs_.data() + pair_at_[pair];
      const std::uint16_t *a = codes_.data() + s * n, *b = codes_.data() + t * n;
      const std::size_t columns = to_size(segments.size(t));
      for (std::int64_t i = 0; i < n; ++i) ++cells[a[i] * columns + b[i]];
    }
  }
}

std::vector<float> CodeStatistics::mean_q() const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  std::vector<float> mean;
  for (const double sum : sums_)
    mean.push_back(static_cast<float>(sum / static_cast<double>(images_)));
  return mean;
}

double CodeStatistics::usage(std::int64_t s) const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  const Segments& segments = spec_.segments;
  double sum = 0, sum_log = 0;
  for (std::int64_t d = segments.begin(s); d < segments.begin(s + 1); ++d) {
    const double p = sums_[to_size(d)];
    sum += p;
    if (p > 0) sum_log += p * std::log(p);
  }
  return (std::log(sum) - sum_log / sum) /
         std::log(static_cast<double>(segments.size(s)));
}

std::int64_t CodeStatistics::dead_units(std::int64_t s) const {
  const Segments& segments = spec_.segments;
  const double least = kDeadShare * static_cast<double>(images_) /
                       static_cast<double>(segments.size(s));
  return std::count_if(sums_.begin() + segments.begin(s),
                       sums_.begin() + segments.begin(s + 1),
                       [&](double sum) { return sum < least; });
}

double CodeStatistics::share(std::int64_t unit) const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  return static_cast<double>(wins_[to_size(unit)]) / static_cast<double>(images_);
}

std::vector<double> CodeStatistics::information(bool corrected) const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  const Segments& segments = spec_.segments;
  const std::int64_t segment_count = segments.count();
  const auto n = static_cast<double>(images_);
  std::vector<CellEntropy> alone;
  for (std::int64_t s = 0; s < segment_count; ++s)
    alone.push_back(cell_entropy(
        std::span(wins_).subspan(to_size(segments.begin(s)),
                                 to_size(segments.size(s))), n));
  std::vector<double> result(to_size(segment_count * segment_count),
                             std::numeric_limits<double>::quiet_NaN());
  std::size_t pair = 0;
  for (std::int64_t s = 0; s < segment_count; ++s)
    for (std::int64_t t = s + 1; t < segment_count; ++t, ++pair) {
      const CellEntropy both = cell_entropy(
          std::span(pairs_).subspan(pair_at_[pair],
                                    to_size(segments.size(s) * segments.size(t))),
          n);
      const CellEntropy &a = alone[to_size(s)], &b = alone[to_size(t)];
      double nats = a.entropy + b.entropy - both.entropy;
      if (corrected)
        nats += static_cast<double>(a.cells + b.cells - both.cells - 1) / (2 * n);
      result[to_size(s * segment_count + t)] = result[to_size(t * segment_count + s)] =
          nats / std::log(static_cast<double>(
                     std::min(segments.size(s), segments.size(t))));
    }
  return result;
}

std::vector<double> CodeStatistics::mutual_information() const {
  return information(true);
}
std::vector<double> CodeStatistics::plug_in_information() const {
  return information(false);
}

std::vector<SurestImage> CodeStatistics::surest(std::size_t i) const {
  std::vector<SurestImage> images = surest_.at(i);
  std::ranges::sort(images, surer);
  return images;
}

std::size_t CodeStatistics::bytes() const {
  std::size_t images = 0;
  for (const auto& heap : surest_) images += heap.capacity();
  return sums_.capacity() * sizeof(double) + images * sizeof(SurestImage) +
         (wins_.capacity() + pairs_.capacity()) * sizeof(std::uint32_t) +
         pair_at_.capacity() * sizeof(std::size_t);
}

}  // namespace music
