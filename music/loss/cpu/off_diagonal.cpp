#include "music/loss/cpu/off_diagonal.h"

#include "music/loss/column_slabs.h"

namespace music::cpu {

double SquareRule::apply(float* tile, std::int64_t row, std::int64_t rows,
                         std::int64_t column, std::int64_t columns) const {
  double total = 0;
  for (std::int64_t a = row; a < row + rows; ++a, tile += columns) {
    if (a >= column && a < column + columns) tile[a - column] = 0;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t b = 0; b < columns; ++b) sum += tile[b] * tile[b];
    total += static_cast<double>(sum);
  }
  return total;
}

OffDiagonalSquares::OffDiagonalSquares(const ViewShape& shape, double scale,
                                       Gradients gradients)
    : shape_(shape), gradients_(gradients) {
  const float by = static_cast<float>(scale);
  const auto samples = static_cast<std::int64_t>(shape.samples);
  if (shape.communicator)
    slabs_.emplace(*shape.communicator, samples, by,
                   column_slabs(shape.units, shape.communicator->size()),
                   shape.threads, gradients);
  else
    panel_.emplace(samples, by, shape.units, shape.threads);
}

std::size_t OffDiagonalSquares::workspace_bytes() const {
  return slabs_ ? slabs_->workspace_bytes() : panel_->workspace_bytes();
}

double OffDiagonalSquares::run(const float* a, const float* b, float* da,
                               float* db, void* workspace) const {
  double sum = 0;
  if (slabs_) sum = slabs_->run(a, b, rule_, da, db, workspace);
  if (slabs_ && gradients_ != Gradients::kNone) return sum;
  for (float* d : {da, db})
    if (d)
#pragma omp parallel for num_threads(shape_.threads) schedule(static)
      for (std::int64_t i = 0; i < shape_.n; ++i)
        std::fill_n(d + i * shape_.units, shape_.units, 0.0f);
  if (slabs_) return sum;
  const bool gradient = gradients_ != Gradients::kNone;
  const std::int64_t units = shape_.units;
  return panel_->run({0, units, 0, units, a, b, gradient ? da : nullptr,
                      gradient ? db : nullptr, units, units},
                     rule_, workspace);
}

}  // namespace music::cpu
