#include "music/detect/rle.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::detect {
namespace {

std::uint64_t pixels_of(const Rle& m) {
  return std::uint64_t{m.height} * m.width;
}

// The runs of a mask, one after another.
class Runs {
 public:
  explicit Runs(const Rle& mask) : counts_(mask.counts) { settle(); }
  bool done() const { return left_ == 0; }
  bool set() const { return (at_ & 1) == 0; }  // at_ is one beyond the run
  std::uint32_t left() const { return left_; }
  void take(std::uint32_t n) {
    left_ -= n;
    settle();
  }

 private:
  void settle() {
    while (left_ == 0 && at_ < counts_.size()) left_ = counts_[at_++];
  }

  std::span<const std::uint32_t> counts_;
  std::size_t at_ = 0;
  std::uint32_t left_ = 0;
};

// fn(length, a is set, b is set) for the pieces that no run of either parts.
template <typename F>
void for_pieces(const Rle& a, const Rle& b, F&& fn) {
  Runs p(a), q(b);
  while (!p.done() && !q.done()) {
    const std::uint32_t n = std::min(p.left(), q.left());
    fn(n, p.set(), q.set());
    p.take(n);
    q.take(n);
  }
}

// Adds runs, joining those of one colour.
class RunWriter {
 public:
  void add(std::uint32_t n, bool set) {
    if (set != set_) {
      counts_.push_back(run_);
      run_ = 0;
      set_ = set;
    }
    run_ += n;
  }
  std::vector<std::uint32_t> take() {
    counts_.push_back(run_);
    return std::move(counts_);
  }

 private:
  std::vector<std::uint32_t> counts_;
  std::uint32_t run_ = 0;
  bool set_ = false;
};

}  // namespace

void check_counts(const Rle& m) {
  std::uint64_t sum = 0;
  for (const std::uint32_t n : m.counts) sum += n;
  if (sum != pixels_of(m))
    throw error(ExitCode::kData,
                "run lengths add up to {}, expected {} ({} x {})", sum,
                pixels_of(m), m.height, m.width);
}

Rle rle_from_text(std::string_view text, std::uint32_t height,
                  std::uint32_t width) {
  Rle m{height, width, {}};
  m.counts.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    std::int64_t value = 0;
    int shift = 0;
    for (bool more = true; more; shift += 5) {
      if (i == text.size())
        throw error(ExitCode::kData, "run lengths end within a number");
      const int group = static_cast<unsigned char>(text[i]) - '0';
      if (group < 0 || group > 63)
        throw error(ExitCode::kData,
                    "run lengths hold the character {}, expected '0' to 'o'",
                    in_quotes(text.substr(i, 1)));
      if (shift > 30)
        throw error(ExitCode::kData, "run lengths hold a number of more than "
                    "seven characters");
      ++i;
      value |= std::int64_t{group & 31} << shift;
      more = (group & 32) != 0;
      if (!more && (group & 16)) value -= std::int64_t{32} << shift;
    }
    const std::size_t k = m.counts.size();
    if (k > 2) value += m.counts[k - 2];
    if (value < 0 || value > 0xFFFFFFFF)
      throw error(ExitCode::kData, "run length {} is {}, expected 0 to {}", k,
                  value, pixels_of(m));
    m.counts.push_back(static_cast<std::uint32_t>(value));
  }
  check_counts(m);
  return m;
}

std::string rle_to_text(const Rle& m) {
  std::string text;
  for (std::size_t k = 0; k < m.counts.size(); ++k) {
    std::int64_t value = m.counts[k];
    if (k > 2) value -= m.counts[k - 2];
    for (bool more = true; more;) {
      int group = static_cast<int>(value & 31);
      value >>= 5;
      more = (group & 16) ? value != -1 : value != 0;
      if (more) group |= 32;
      text += static_cast<char>('0' + group);
    }
  }
  return text;
}

Rle rle_from_pixels(std::span<const std::uint8_t> pixels, std::uint32_t height,
                    std::uint32_t width) {
  RunWriter out;
  for (std::uint32_t x = 0; x < width; ++x)
    for (std::uint32_t y = 0; y < height; ++y)
      out.add(1, pixels[std::size_t{y} * width + x] != 0);
  return {height, width, out.take()};
}

std::vector<std::uint8_t> rle_to_pixels(const Rle& m) {
  std::vector<std::uint8_t> pixels(pixels_of(m));
  std::size_t at = 0;  // column by column
  for (std::size_t k = 0; k < m.counts.size(); ++k)
    for (std::uint32_t n = 0; n < m.counts[k]; ++n, ++at)
      pixels[at % m.height * m.width + at / m.height] = k & 1;
  return pixels;
}

std::uint64_t rle_area(const Rle& m) {
  std::uint64_t area = 0;
  for (std::size_t k = 1; k < m.counts.size(); k += 2) area += m.counts[k];
  return area;
}

std::array<double, 4> rle_box(const Rle& m) {
  std::uint64_t at = 0, left = m.width, right = 0, top = m.height, bottom = 0;
  bool any = false;
  for (std::size_t k = 0; k < m.counts.size(); at += m.counts[k++]) {
    if ((k & 1) == 0 || m.counts[k] == 0) continue;
    const std::uint64_t last = at + m.counts[k] - 1;
    const std::uint64_t x0 = at / m.height, x1 = last / m.height;
    any = true;
    left = std::min(left, x0);
    right = std::max(right, x1);
    // A run that goes on in the next column touches bottom and top.
    top = std::min(top, x0 == x1 ? at % m.height : 0);
    bottom = std::max(bottom, x0 == x1 ? last % m.height : m.height - 1);
  }
  if (!any) return {};
  return {static_cast<double>(left), static_cast<double>(top),
          static_cast<double>(right - left + 1),
          static_cast<double>(bottom - top + 1)};
}

Rle rle_merge(std::span<const Rle> masks, bool intersect) {
  MUSIC_CHECK(!masks.empty(), "[rle] nothing to merge");
  Rle all = masks[0];
  for (const Rle& m : masks.subspan(1)) {
    MUSIC_CHECK(m.height == all.height && m.width == all.width,
                "[rle] a mask of {} x {} merged with one of {} x {}", m.height,
                m.width, all.height, all.width);
    RunWriter out;
    for_pieces(all, m, [&](std::uint32_t n, bool a, bool b) {
      out.add(n, intersect ? a && b : a || b);
    });
    all.counts = out.take();
  }
  return all;
}

double rle_iou(const Rle& detection, const Rle& truth, bool crowd) {
  std::uint64_t both = 0, any = 0, own = 0;
  for_pieces(detection, truth, [&](std::uint32_t n, bool a, bool b) {
    if (a && b) both += n;
    if (a || b) any += n;
    if (a) own += n;
  });
  if (both == 0) return 0;
  return static_cast<double>(both) / static_cast<double>(crowd ? own : any);
}

}  // namespace music::detect
