#include "music/codes/soft_index.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/core/error.h"
#include "music/codes/tile_scan.h"

namespace music {
namespace {

constexpr int kKept = SoftIndex::kKept;

static_assert(kKept == 3);

// Loops of their own for compilers, as of CodeIndex. Units are distinct, so at most
// one is met; what stands for none, unit 0, has the weight 0.
template <typename T>
[[gnu::noinline]] void meet(const T* __restrict units, const std::uint16_t* unit,
                            const std::uint8_t* weight, std::uint8_t* __restrict met) {
  const T a = static_cast<T>(unit[0]), b = static_cast<T>(unit[1]),
          c = static_cast<T>(unit[2]);
  const std::uint8_t x = weight[0], y = weight[1], z = weight[2], none = 0;
  for (std::int64_t i = 0; i < kCodeTile; ++i)
    met[i] = static_cast<std::uint8_t>((units[i] == a ? x : none) |
                                       (units[i] == b ? y : none) |
                                       (units[i] == c ? z : none));
}
[[gnu::noinline]] void add_products(const std::uint8_t* __restrict met,
                                    const std::uint8_t* __restrict weights,
                                    std::uint16_t* __restrict part) {
  for (std::int64_t i = 0; i < kCodeTile; ++i)
    part[i] = static_cast<std::uint16_t>(part[i] + met[i] * weights[i]);
}
[[gnu::noinline]] void add_part(const std::uint16_t* __restrict part, std::uint32_t* __restrict total) {
  for (std::int64_t i = 0; i < kCodeTile; ++i) total[i] += part[i];
}

// Scores of the images of a tile.
template <typename T>
class TileScore {
 public:
  const std::uint32_t* operator()(const T* units, const std::uint8_t* weights,
                                  const SoftCode& code, std::int64_t segments) {
    std::fill_n(total_, kCodeTile, 0u);
    for (std::int64_t s = 0; s < segments; ++s) {
      // Rounded weights of a segment add up to 256 at most, so this fits: 256 * 255.
      std::fill_n(part_, kCodeTile, std::uint16_t{0});
      for (int j = 0; j < kKept; ++j, units += kCodeTile, weights += kCodeTile) {
        meet(units, code.units.data() + s * kKept, code.weights.data() + s * kKept,
             met_);
        add_products(met_, weights, part_);
      }
      add_part(part_, total_);
    }
    return total_;
  }

 private:
  alignas(64) std::uint8_t met_[kCodeTile];
  alignas(64) std::uint16_t part_[kCodeTile];
  alignas(64) std::uint32_t total_[kCodeTile];
};

}  // namespace

SoftIndex::SoftIndex(const Segments& segments, std::int64_t images)
    : segments_(segments), width_(code_width(segments)) {
  const auto room = static_cast<std::size_t>((images + kCodeTile - 1) / kCodeTile * kCodeTile *
                                             segments.count() * kKept);
  if (width_ == CodeWidth::kU8) narrow_.reserve(room);
  else wide_.reserve(room);
  weights_.reserve(room);
}

template <>
const std::vector<std::uint8_t>& SoftIndex::units() const { return narrow_; }
template <>
const std::vector<std::uint16_t>& SoftIndex::units() const { return wide_; }

SoftCode SoftIndex::keep(const float* q, const Segments& segments) {
  SoftCode code;
  const auto room = static_cast<std::size_t>(segments.count() * kKept);
  code.units.assign(room, 0);
  code.weights.assign(room, 0);
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const float* p = q + segments.begin(s);
    const std::int64_t size = segments.size(s);
    std::array<std::int64_t, kKept> best;
    int count = 0;
    for (std::int64_t u = 0; u < size; ++u) {
      int at = count;
      while (at > 0 && p[u] > p[best[static_cast<std::size_t>(at - 1)]]) --at;
      if (at == kKept) continue;
      count = std::min(count + 1, kKept);
      for (int i = count - 1; i > at; --i)
        best[static_cast<std::size_t>(i)] = best[static_cast<std::size_t>(i - 1)];
      best[static_cast<std::size_t>(at)] = u;
    }
    for (int i = 0; i < count; ++i) {
      const std::int64_t u = best[static_cast<std::size_t>(i)];
      const long weight = std::lround(255.0 * static_cast<double>(p[u]));
      if (weight == 0) break;
      const auto at = static_cast<std::size_t>(s * kKept + i);
      code.units[at] = static_cast<std::uint16_t>(u);
      code.weights[at] = static_cast<std::uint8_t>(std::min(weight, 255l));
    }
  }
  return code;
}

void SoftIndex::add(const SoftCode& code) {
  const std::int64_t columns = segments_.count() * kKept;
  MUSIC_CHECK(std::ssize(code.units) == columns && std::ssize(code.weights) == columns,
              "[codes] a soft code of {} units, expected {}", code.units.size(), columns);
  for (std::int64_t c = 0; c < columns; ++c)
    if (code.units[static_cast<std::size_t>(c)] >= segments_.size(c / kKept))
      throw error(ExitCode::kData,
                  "[codes] image {} has unit {} in segment {}, expected less than {}",
                  size_, code.units[static_cast<std::size_t>(c)], c / kKept,
                  segments_.size(c / kKept));
  const auto put = [&](auto& tiles, const auto& values) {
    using T = typename std::decay_t<decltype(tiles)>::value_type;
    if (size_ % kCodeTile == 0)
      tiles.resize(tiles.size() + static_cast<std::size_t>(columns * kCodeTile));
    T* at = tiles.data() + (size_ / kCodeTile) * columns * kCodeTile + size_ % kCodeTile;
    for (std::int64_t c = 0; c < columns; ++c)
      at[c * kCodeTile] = static_cast<T>(values[static_cast<std::size_t>(c)]);
  };
  if (width_ == CodeWidth::kU8) put(narrow_, code.units);
  else put(wide_, code.units);
  put(weights_, code.weights);
  ++size_;
}

SoftCode SoftIndex::code(std::int64_t image) const {
  MUSIC_CHECK(image >= 0 && image < size_, "[codes] image {} of {}", image, size_);
  const std::int64_t columns = segments_.count() * kKept;
  SoftCode code;
  const auto get = [&](const auto& tiles, auto& values) {
    const auto* at = tiles.data() + (image / kCodeTile) * columns * kCodeTile + image % kCodeTile;
    for (std::int64_t c = 0; c < columns; ++c) values.push_back(at[c * kCodeTile]);
  };
  if (width_ == CodeWidth::kU8) get(narrow_, code.units);
  else get(wide_, code.units);
  get(weights_, code.weights);
  return code;
}

template <typename T>
std::vector<CodeMatch> SoftIndex::find_in(const SoftCode& code, std::int64_t k,
                                          std::int64_t except) const {
  const std::int64_t step = segments_.count() * kKept * kCodeTile;
  TileScore<T> score;
  TopMatches top(k);
  std::int64_t at = 0;
  for (std::int64_t first = 0; first < size_; first += kCodeTile, at += step)
    top.offer(first,
              score(units<T>().data() + at, weights_.data() + at, code,
                    segments_.count()),
              std::min(kCodeTile, size_ - first), except);
  return top.sorted();
}

std::vector<CodeMatch> SoftIndex::find(const SoftCode& code, std::int64_t k,
                                       std::int64_t except) const {
  MUSIC_CHECK(k >= 1 && std::ssize(code.units) == segments_.count() * kKept,
              "[codes] {} matches of a soft code of {} units", k, code.units.size());
  return width_ == CodeWidth::kU8 ? find_in<std::uint8_t>(code, k, except)
                                  : find_in<std::uint16_t>(code, k, except);
}

template <typename T>
void SoftIndex::neighbours_in(std::int64_t k, std::span<CodeMatch> out,
                              const std::function<void(double)>& done) const {
  const T* units = this->units<T>().data();
  const std::int64_t step = segments_.count() * kKept * kCodeTile;
  tile_neighbours(
      size_, kCodeTile, k, [this](std::int64_t i) { return code(i); },
      [&] {
        return [&, score = TileScore<T>()](std::int64_t t,
                                           const SoftCode& code) mutable {
          return score(units + t * step, weights_.data() + t * step, code,
                       segments_.count());
        };
      },
      out, done);
}

void SoftIndex::neighbours(std::int64_t k, std::span<CodeMatch> out,
                           const std::function<void(double)>& done) const {
  MUSIC_CHECK(k >= 1 && k < size_ && std::ssize(out) == size_ * k,
              "[codes] {} neighbours of each of {} images, room for {}", k, size_,
              out.size());
  if (width_ == CodeWidth::kU8) neighbours_in<std::uint8_t>(k, out, done);
  else neighbours_in<std::uint16_t>(k, out, done);
}

}  // namespace music
