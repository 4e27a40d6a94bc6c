#include "music/model/weight_checks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

bool all_equal(const NamedTensor& t, float value) {
  return std::ranges::all_of(t.values, [&](float v) { return v == value; });
}

// Have the convolutions the standard deviations of a usual initialisation?
bool as_drawn(const std::vector<NamedTensor>& tensors) {
  // Kaiming normal by fan-out and by fan-in; PyTorch's uniform default. Sums of
  // squared deviations in standard errors: chi-squared for what was drawn.
  double deviations[3] = {}, convolutions = 0;
  for (const NamedTensor& conv : tensors) {
    if (conv.shape.size() != 4) continue;
    const double area = static_cast<double>(conv.shape[2] * conv.shape[3]);
    const double fan_in = static_cast<double>(conv.shape[1]) * area;
    const double fan_out = static_cast<double>(conv.shape[0]) * area;
    double sum = 0, square = 0;
    for (const double v : conv.values) sum += v, square += v * v;
    const double n = static_cast<double>(conv.values.size());
    const double std = std::sqrt(std::max(0.0, square / n - sum * sum / n / n));
    const double expected[] = {std::sqrt(2 / fan_out), std::sqrt(2 / fan_in),
                               std::sqrt(1 / (3 * fan_in))};
    for (int i = 0; i < 3; ++i)
      deviations[i] += 2 * n * std::pow(std / expected[i] - 1, 2);
    ++convolutions;
  }
  return *std::ranges::min_element(deviations) <
         convolutions + 4 * std::sqrt(2 * convolutions);
}

constexpr double kBadFit = 0.5;

// Of relu(x), x normal.
double relu_mean(double mean, double std) {
  std = std::max(std::abs(std), 1e-12);
  const double z = mean / std;
  return mean * 0.5 * std::erfc(-z / std::sqrt(2.0)) +
         std * std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
}

double correlation(const std::vector<double>& a, std::span<const float> b) {
  const double n = static_cast<double>(a.size());
  double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) ma += a[i] / n, mb += b[i] / n;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i] - ma, y = b[i] - mb;
    aa += x * x, bb += y * y, ab += x * y;
  }
  return ab / std::sqrt(aa * bb);
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
  bool mean = true, var = true, affine = true;
  for (const NamedTensor& t : tensors) {
    if (t.name.ends_with("running_mean"))
      mean = mean && all_equal(t, 0);
    else if (t.name.ends_with("running_var"))
      var = var && all_equal(t, 1);
    else if (t.shape.size() == 4)
      continue;
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
  // Alone it says little: behind a batch norm a scale hardly moves in short runs.
  if (!signs.empty() && as_drawn(tensors))
    signs.push_back(
        "convolutions have the standard deviations of an initialisation");
  return signs;
}

std::vector<NormFit> norm_fits(const std::vector<NamedTensor>& tensors) {
  const auto find = [&](const std::string& name) -> const NamedTensor& {
    return *std::ranges::find(tensors, name, &NamedTensor::name);
  };
  std::vector<NormFit> fits;
  for (const NamedTensor& w : tensors) {
    // layer1.0.conv2.weight: between layer1.0.bn1 and layer1.0.bn2.
    const std::size_t at = w.name.rfind(".conv");
    if (at == w.name.npos || w.name[at + 5] == '1' || w.shape[0] < 16) continue;
    const std::string bn = w.name.substr(0, at) + ".bn";
    const char number = w.name[at + 5];
    const auto& gamma =
        find(fmt::format("{}{}.weight", bn, static_cast<char>(number - 1)));
    const auto& beta =
        find(fmt::format("{}{}.bias", bn, static_cast<char>(number - 1)));
    const auto& mean = find(fmt::format("{}{}.running_mean", bn, number));
    const auto k = static_cast<std::size_t>(w.shape[0]);
    const auto c = static_cast<std::size_t>(w.shape[1]);
    const std::size_t area = w.values.size() / k / c;
    std::vector<double> predicted(k);
    for (std::size_t ic = 0; ic < c; ++ic) {
      const double input = relu_mean(beta.values[ic], gamma.values[ic]);
      for (std::size_t ik = 0; ik < k; ++ik)
        for (std::size_t a = 0; a < area; ++a)
          predicted[ik] += input * w.values[(ik * c + ic) * area + a];
    }
    const double r = correlation(predicted, mean.values);
    if (std::isfinite(r)) fits.push_back({w.name, r});
  }
  return fits;
}

std::vector<std::string> require_fit(const std::vector<NamedTensor>& tensors,
                                     const std::string& file_name) {
  const std::vector<NormFit> fits = norm_fits(tensors);
  std::vector<std::string> bad;
  for (const NormFit& f : fits)
    if (f.correlation < kBadFit)
      bad.push_back(fmt::format("{} ({:.2f})", f.tensor, f.correlation));
  if (2 * bad.size() > fits.size())
    throw error(ExitCode::kData,
                "[weights] {}: {} of {} convolutions do not fit the batch norms "
                "around them, first {}: expected correlations of at least {}; "
                "are names exchanged, or parts of two networks mixed?",
                file_name, bad.size(), fits.size(), bad.front(), kBadFit);
  return bad;
}

}  // namespace music
