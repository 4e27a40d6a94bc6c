#include "music/model/weight_checks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

bool all_equal(const NamedTensor& t, float value) {
  return std::ranges::all_of(t.values, [&](float v) { return v == value; });
}

// Is the standard deviation of a convolution that of a usual initialisation, to
// four standard errors? Trained weights are far from it in some layer.
bool as_drawn(const NamedTensor& conv) {
  const double area = static_cast<double>(conv.shape[2] * conv.shape[3]);
  const double fan_in = static_cast<double>(conv.shape[1]) * area;
  const double fan_out = static_cast<double>(conv.shape[0]) * area;
  double sum = 0, square = 0;
  for (const double v : conv.values) sum += v, square += v * v;
  const double n = static_cast<double>(conv.values.size());
  const double std = std::sqrt(std::max(0.0, square / n - sum * sum / n / n));
  const double tolerance = 4 / std::sqrt(2 * n);
  // Kaiming normal by fan-out and by fan-in; PyTorch's uniform default.
  for (const double expected : {std::sqrt(2 / fan_out), std::sqrt(2 / fan_in),
                                std::sqrt(1 / (3 * fan_in))})
    if (std::abs(std / expected - 1) < tolerance) return true;
  return false;
}

}  // namespace

void require_sound(const std::vector<NamedTensor>& tensors,
                   const std::string& file_name) {
  for (const NamedTensor& t : tensors) {
    const auto bad = std::ranges::find_if(
        t.values, [](float v) { return !std::isfinite(v); });
    if (bad != t.values.end())
      throw error(ExitCode::kData,
                  "[weights] {}: {} holds {} at element {}, expected finite "
                  "numbers", file_name, t.name, *bad,
                  bad - t.values.begin());
    const auto least = std::ranges::min_element(t.values);
    if (t.name.ends_with("running_var") && least != t.values.end() &&
        *least < 0)
      throw error(ExitCode::kData,
                  "[weights] {}: {} holds {}, expected a variance: is it the "
                  "tensor of that name?", file_name, t.name, *least);
  }
}

std::vector<std::string> signs_of_random(
    const std::vector<NamedTensor>& tensors, std::int64_t batches) {
  bool mean = true, var = true, affine = true, drawn = true;
  for (const NamedTensor& t : tensors) {
    if (t.name.ends_with("running_mean"))
      mean = mean && all_equal(t, 0);
    else if (t.name.ends_with("running_var"))
      var = var && all_equal(t, 1);
    else if (t.shape.size() == 4)
      drawn = drawn && as_drawn(t);
    else if (t.name.ends_with("bias"))
      affine = affine && all_equal(t, 0);
    else
      affine = affine && (all_equal(t, 1) || all_equal(t, 0));
  }
  std::vector<std::string> signs;
  if (mean && var)
    signs.push_back("every running mean is 0 and every running variance 1");
  if (batches == 0)
    signs.push_back("num_batches_tracked is 0: batch norms have seen no batch");
  if (affine)
    signs.push_back("every batch norm scales by exactly 1 or 0 and shifts by 0");
  if (drawn)
    signs.push_back(
        "every convolution has the standard deviation of an initialisation");
  return signs;
}

}  // namespace music
