#pragma once
// The numbers of a long run as curves of a few thousand points.
//
// Rows (steps of a run) are kept in buckets of equally many in a row. A bucket
// keeps the least, the greatest and the mean of its finite values, so a spike
// of one step stays to be seen whatever the length. All curves share the
// buckets.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace music {

struct Bucket {
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  double sum = 0;
  std::int64_t count = 0;  // 0: no finite value

  void add(double value);
  void add(const Bucket& other);
  double mean() const { return sum / static_cast<double>(count); }
};

// Where a bucket stands: the means of its rows.
struct Place {
  double step = 0, epoch = 0, seconds = 0;
};

struct Curve {
  std::string name = {};
  std::vector<Bucket> buckets = {};  // at most as many as there are places
  double last = std::numeric_limits<double>::quiet_NaN();  // may be NaN
  std::int64_t missing = 0;  // values that were not finite
  Bucket all = {};
  Bucket last_epoch = {};
};

class Curves {
 public:
  // Between most / 2 and most buckets, once there are that many rows.
  explicit Curves(std::size_t most = 2000) : most_(most) {}

  // The next row; then its values. A name beyond the hundredth is left out.
  void row(std::int64_t step, std::int64_t epoch, double seconds);
  void add(std::string_view name, double value);

  std::int64_t rows() const { return rows_; }
  std::int64_t last_step() const { return last_step_; }
  std::int64_t last_epoch() const { return last_epoch_; }
  double last_seconds() const { return last_seconds_; }
  // Of whole epochs, as the steps tell it; 0: no epoch has ended.
  double steps_per_epoch() const;
  std::vector<Place> places() const;
  const std::vector<Curve>& curves() const { return curves_; }
  const Curve* find(std::string_view name) const;  // nullptr: none

 private:
  void halve();

  std::size_t most_;
  std::int64_t per_bucket_ = 1, rows_ = 0;
  std::int64_t last_step_ = -1, last_epoch_ = 0, epoch_begin_ = 0;
  double last_seconds_ = 0;
  struct Sums {
    double step = 0, seconds = 0, count = 0;
  };
  std::vector<Sums> sums_ = {};
  std::vector<Curve> curves_ = {};
};

}  // namespace music
