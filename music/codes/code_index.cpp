#include "music/codes/code_index.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine/core/error.h"
#include "music/codes/tile_scan.h"

namespace music {
namespace {


// The loops that are the search: on their own, so that nothing keeps a compiler
// from doing as many images at once as a register holds.
template <typename T>
[[gnu::noinline]] void add_equal(const T* __restrict column, T unit, std::uint8_t* __restrict count) {
  for (std::int64_t i = 0; i < kCodeTile; ++i)
    count[i] = static_cast<std::uint8_t>(count[i] + (column[i] == unit));
}
template <typename T>
[[gnu::noinline]] void keep_equal(const T* __restrict column, T unit, std::uint8_t* __restrict keep) {
  for (std::int64_t i = 0; i < kCodeTile; ++i)
    keep[i] = static_cast<std::uint8_t>(keep[i] & (column[i] == unit));
}
template <typename T>
[[gnu::noinline]] void keep_others(const T* __restrict column, T unit, std::uint8_t* __restrict keep) {
  for (std::int64_t i = 0; i < kCodeTile; ++i)
    keep[i] = static_cast<std::uint8_t>(keep[i] & (column[i] != unit));
}
[[gnu::noinline]] void add_counts(const std::uint8_t* __restrict count, std::uint16_t* __restrict total) {
  for (std::int64_t i = 0; i < kCodeTile; ++i)
    total[i] = static_cast<std::uint16_t>(total[i] + count[i]);
}

// How many segments agree, of each image of a tile.
template <typename T>
class TileCount {
 public:
  const std::uint16_t* operator()(const T* tile, const std::uint16_t* code,
                                  std::span<const int> segments) {
    std::fill_n(total_, kCodeTile, std::uint16_t{0});
    for (std::size_t at = 0; at < segments.size();) {
      // As many as a byte counts.
      const std::size_t end = std::min(segments.size(), at + 255);
      std::fill_n(count_, kCodeTile, std::uint8_t{0});
      for (; at < end; ++at)
        add_equal(tile + segments[at] * kCodeTile, static_cast<T>(code[segments[at]]),
                  count_);
      add_counts(count_, total_);
    }
    return total_;
  }

 private:
  alignas(64) std::uint8_t count_[kCodeTile];
  alignas(64) std::uint16_t total_[kCodeTile];
};

// Of each image of a tile: 1 where all conditions hold.
template <typename T>
class TileFilter {
 public:
  // False: no image is left.
  bool operator()(const T* tile, const CodeQuery& query) {
    std::fill_n(keep_, kCodeTile, std::uint8_t{1});
    for (const auto& [segment, unit] : query.same)
      keep_equal(tile + segment * kCodeTile, static_cast<T>(unit), keep_);
    for (const auto& [segment, unit] : query.different)
      keep_others(tile + segment * kCodeTile, static_cast<T>(unit), keep_);
    return std::find(keep_, keep_ + kCodeTile, std::uint8_t{1}) != keep_ + kCodeTile;
  }
  const std::uint8_t* keep() const { return keep_; }

 private:
  alignas(64) std::uint8_t keep_[kCodeTile];
};

}  // namespace

CodeIndex::CodeIndex(const Segments& segments, std::int64_t images)
    : segments_(segments), width_(code_width(segments)) {
  MUSIC_CHECK(segments.count() <= 65535, "[codes] {} segments", segments.count());
  const auto room = static_cast<std::size_t>((images + kCodeTile - 1) / kCodeTile * kCodeTile *
                                             segments.count());
  if (width_ == CodeWidth::kU8) narrow_.reserve(room);
  else wide_.reserve(room);
}

template <>
const std::vector<std::uint8_t>& CodeIndex::tiles() const { return narrow_; }
template <>
const std::vector<std::uint16_t>& CodeIndex::tiles() const { return wide_; }

void CodeIndex::add(std::span<const std::uint16_t> code) {
  const std::int64_t count = segments_.count();
  MUSIC_CHECK(std::ssize(code) == count, "[codes] a code of {} segments, expected {}",
              code.size(), count);
  for (std::int64_t s = 0; s < count; ++s)
    if (code[static_cast<std::size_t>(s)] >= segments_.size(s))
      throw error(ExitCode::kData,
                  "[codes] image {} has unit {} in segment {}, expected less than {}",
                  size_, code[static_cast<std::size_t>(s)], s, segments_.size(s));
  const auto put = [&](auto& tiles) {
    using T = typename std::decay_t<decltype(tiles)>::value_type;
    if (size_ % kCodeTile == 0)
      tiles.resize(tiles.size() + static_cast<std::size_t>(count * kCodeTile));
    T* at = tiles.data() + (size_ / kCodeTile) * count * kCodeTile + size_ % kCodeTile;
    for (std::int64_t s = 0; s < count; ++s)
      at[s * kCodeTile] = static_cast<T>(code[static_cast<std::size_t>(s)]);
  };
  if (width_ == CodeWidth::kU8) put(narrow_);
  else put(wide_);
  ++size_;
}

std::vector<std::uint16_t> CodeIndex::code(std::int64_t image) const {
  MUSIC_CHECK(image >= 0 && image < size_, "[codes] image {} of {}", image, size_);
  const std::int64_t count = segments_.count();
  std::vector<std::uint16_t> out(static_cast<std::size_t>(count));
  const auto get = [&](const auto& tiles) {
    const auto* at = tiles.data() + (image / kCodeTile) * count * kCodeTile + image % kCodeTile;
    for (std::int64_t s = 0; s < count; ++s)
      out[static_cast<std::size_t>(s)] = at[s * kCodeTile];
  };
  if (width_ == CodeWidth::kU8) get(narrow_);
  else get(wide_);
  return out;
}

void CodeIndex::check(const SegmentUnit& wanted) const {
  if (wanted.segment < 0 || wanted.segment >= segments_.count())
    throw error(ExitCode::kUsage, "[codes] segment {}, expected 0 to {}",
                wanted.segment, segments_.count() - 1);
  if (wanted.unit < 0 || wanted.unit >= segments_.size(wanted.segment))
    throw error(ExitCode::kUsage, "[codes] unit {} of segment {}, expected 0 to {}",
                wanted.unit, wanted.segment, segments_.size(wanted.segment) - 1);
}

template <typename T>
std::vector<CodeMatch> CodeIndex::find_in(const CodeQuery& query,
                                          std::int64_t k) const {
  TileFilter<T> filter;
  TileCount<T> count;
  alignas(64) std::uint16_t scores[kCodeTile];
  const bool conditions = !query.same.empty() || !query.different.empty();
  TopMatches top(k, conditions ? 0 : -1);
  const T* tile = tiles<T>().data();
  for (std::int64_t first = 0; first < size_;
       first += kCodeTile, tile += segments_.count() * kCodeTile) {
    const std::int64_t rows = std::min(kCodeTile, size_ - first);
    if (!conditions) {
      top.offer(first, count(tile, query.code.data(), query.ranked), rows,
                query.except);
      continue;
    }
    if (!filter(tile, query)) continue;
    const std::uint16_t* totals = count(tile, query.code.data(), query.ranked);
    // A match scores one more than it has segments that agree, the others 0.
    for (std::int64_t i = 0; i < kCodeTile; ++i)
      scores[i] = static_cast<std::uint16_t>((totals[i] + 1) * filter.keep()[i]);
    top.offer(first, scores, rows, query.except);
  }
  std::vector<CodeMatch> found = top.sorted();
  if (conditions)
    for (CodeMatch& m : found) --m.score;
  return found;
}

std::vector<CodeMatch> CodeIndex::find(const CodeQuery& query, std::int64_t k) const {
  MUSIC_CHECK(k >= 1 && std::ssize(query.code) == segments_.count(),
              "[codes] {} matches of a code of {} segments", k, query.code.size());
  for (const SegmentUnit& wanted : query.same) check(wanted);
  for (const SegmentUnit& wanted : query.different) check(wanted);
  for (const int s : query.ranked) check({s, 0});
  return width_ == CodeWidth::kU8 ? find_in<std::uint8_t>(query, k)
                                  : find_in<std::uint16_t>(query, k);
}

template <typename T>
void CodeIndex::neighbours_in(std::int64_t k, std::span<CodeMatch> out,
                              const std::function<void(double)>& done) const {
  std::vector<int> all(static_cast<std::size_t>(segments_.count()));
  std::iota(all.begin(), all.end(), 0);
  const T* tiles = this->tiles<T>().data();
  const std::int64_t step = segments_.count() * kCodeTile;
  tile_neighbours(
      size_, kCodeTile, k, [this](std::int64_t i) { return code(i); },
      [&] {
        return [&, count = TileCount<T>()](
                   std::int64_t t, const std::vector<std::uint16_t>& code) mutable {
          return count(tiles + t * step, code.data(), all);
        };
      },
      out, done);
}

void CodeIndex::neighbours(std::int64_t k, std::span<CodeMatch> out,
                           const std::function<void(double)>& done) const {
  MUSIC_CHECK(k >= 1 && k < size_ && std::ssize(out) == size_ * k,
              "[codes] {} neighbours of each of {} images, room for {}", k, size_,
              out.size());
  if (width_ == CodeWidth::kU8) neighbours_in<std::uint8_t>(k, out, done);
  else neighbours_in<std::uint16_t>(k, out, done);
}

SegmentPostings CodeIndex::postings(std::int64_t segment) const {
  MUSIC_CHECK(size_ <= std::numeric_limits<std::int32_t>::max() &&
                  segment >= 0 && segment < segments_.count(),
              "[codes] postings of segment {} of {} images", segment, size_);
  SegmentPostings p;
  p.begin.assign(static_cast<std::size_t>(segments_.size(segment)) + 1, 0);
  p.images.resize(static_cast<std::size_t>(size_));
  const auto each = [&](auto does) {
    const auto walk = [&](const auto& tiles) {
      for (std::int64_t i = 0; i < size_; ++i)
        does(i, static_cast<std::size_t>(
                    tiles[static_cast<std::size_t>(
                        ((i / kCodeTile) * segments_.count() + segment) * kCodeTile +
                        i % kCodeTile)]));
    };
    if (width_ == CodeWidth::kU8) walk(narrow_);
    else walk(wide_);
  };
  each([&](std::int64_t, std::size_t unit) { ++p.begin[unit + 1]; });
  std::partial_sum(p.begin.begin(), p.begin.end(), p.begin.begin());
  std::vector<std::int64_t> next(p.begin.begin(), p.begin.end() - 1);
  each([&](std::int64_t i, std::size_t unit) {
    p.images[static_cast<std::size_t>(next[unit]++)] = static_cast<std::int32_t>(i);
  });
  return p;
}

}  // namespace music
