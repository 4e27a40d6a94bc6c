#pragma once
// The best of many scored images that come in ascending order of their numbers.

#include <algorithm>
#include <cstdint>
#include <vector>

namespace music {

// Images that are searched in one go, column by column.
constexpr std::int64_t kCodeTile = 1024;

struct CodeMatch {
  std::int64_t image = -1;
  std::int64_t score = 0;  // segments that agree; of soft codes SoftIndex's unit

  // Comes before the other one: the higher score, of equals the lower number.
  bool before(const CodeMatch& other) const {
    return score != other.score ? score > other.score : image < other.image;
  }
  bool operator==(const CodeMatch&) const = default;
};

class TopMatches {
 public:
  explicit TopMatches(std::int64_t k, std::int64_t floor = -1)
      : k_(static_cast<std::size_t>(k)), floor_(floor) {}

  // What is no better cannot enter any more.
  std::int64_t floor() const { return floor_; }
  // image: above all offered before.
  void offer(std::int64_t image, std::int64_t score) {
    if (score <= floor_) return;
    kept_.push_back({image, score});
    if (kept_.size() == 2 * k_) prune();
  }
  // Whole runs: scores[i] of image first + i, but for the image `except`. Most are
  // not above floor().
  template <typename T>
  void offer(std::int64_t first, const T* scores, std::int64_t count,
             std::int64_t except) {
    constexpr std::int64_t kRun = 64;
    for (std::int64_t at = 0; at < count; at += kRun) {
      const std::int64_t end = std::min(count, at + kRun);
      T best = 0;
      for (std::int64_t i = at; i < end; ++i) best = std::max(best, scores[i]);
      if (static_cast<std::int64_t>(best) <= floor_) continue;
      for (std::int64_t i = at; i < end; ++i)
        if (first + i != except) offer(first + i, static_cast<std::int64_t>(scores[i]));
    }
  }
  // At most k, best first.
  std::vector<CodeMatch> sorted() {
    std::sort(kept_.begin(), kept_.end(), before);
    if (kept_.size() > k_) kept_.resize(k_);
    return std::move(kept_);
  }

 private:
  static bool before(const CodeMatch& a, const CodeMatch& b) { return a.before(b); }
  void prune() {
    const auto last = kept_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(kept_.begin(), last, kept_.end(), before);
    floor_ = last->score;  // an equal one that comes later has a higher number
    kept_.resize(k_);
  }

  std::size_t k_;
  std::int64_t floor_;
  std::vector<CodeMatch> kept_;
};

}  // namespace music
