#include "music/report/curves.h"

#include <algorithm>
#include <cmath>

namespace music {

void Bucket::add(double value) {
  least = std::min(least, value);
  greatest = std::max(greatest, value);
  sum += value;
  ++count;
}

void Bucket::add(const Bucket& other) {
  least = std::min(least, other.least);
  greatest = std::max(greatest, other.greatest);
  sum += other.sum;
  count += other.count;
}

void Curves::row(std::int64_t step, std::int64_t epoch, double seconds) {
  if (rows_ == per_bucket_ * static_cast<std::int64_t>(most_)) halve();
  if (rows_ % per_bucket_ == 0) sums_.emplace_back();
  Sums& sums = sums_.back();
  sums.step += static_cast<double>(step);
  sums.seconds += seconds;
  ++sums.count;
  if (epoch != last_epoch_) {
    epoch_begin_ = step;
    for (Curve& curve : curves_) curve.last_epoch = {};
  }
  ++rows_;
  last_step_ = step;
  last_epoch_ = epoch;
  last_seconds_ = seconds;
}

void Curves::add(std::string_view name, double value) {
  auto curve = std::ranges::find(curves_, name, &Curve::name);
  if (curve == curves_.end()) {
    constexpr std::size_t kMost = 100;
    if (curves_.size() == kMost) return;
    curves_.push_back({.name = std::string(name)});
    curve = curves_.end() - 1;
  }
  curve->buckets.resize(sums_.size());
  curve->last = value;
  if (!std::isfinite(value)) {
    ++curve->missing;
    return;
  }
  curve->buckets.back().add(value);
  curve->all.add(value);
  curve->last_epoch.add(value);
}

// Two buckets become one.
void Curves::halve() {
  per_bucket_ *= 2;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const Sums s = sums_[i];
    if (i % 2 == 0) {
      sums_[i / 2] = s;
    } else {
      Sums& to = sums_[i / 2];
      to.step += s.step;
      to.seconds += s.seconds;
      to.count += s.count;
    }
  }
  sums_.resize((sums_.size() + 1) / 2);
  for (Curve& curve : curves_) {
    auto& b = curve.buckets;
    for (std::size_t i = 0; i < b.size(); ++i) {
      const Bucket bucket = b[i];
      if (i % 2 == 0)
        b[i / 2] = bucket;
      else
        b[i / 2].add(bucket);
    }
    b.resize((b.size() + 1) / 2);
  }
}

double Curves::steps_per_epoch() const {
  return last_epoch_ > 0 && epoch_begin_ > 0
             ? static_cast<double>(epoch_begin_) /
                   static_cast<double>(last_epoch_)
             : 0;
}

std::vector<Place> Curves::places() const {
  // Before the end of the first epoch nothing tells its length.
  const double per_epoch = steps_per_epoch();
  std::vector<Place> out;
  for (const Sums& s : sums_) {
    const double step = s.step / s.count;
    out.push_back({step, per_epoch > 0 ? (step + 1) / per_epoch : 0,
                   s.seconds / s.count});
  }
  return out;
}

const Curve* Curves::find(std::string_view name) const {
  const auto curve = std::ranges::find(curves_, name, &Curve::name);
  return curve == curves_.end() ? nullptr : &*curve;
}

}  // namespace music
