#pragma once
// Reference convolution and pooling on [N,H,W,C].

#include <limits>
#include <vector>

#include "tests/support/reference_array.h"

namespace music::reference {

// Calls f(i, j, n, oh, ow, r, s) for every input pixel (n, i, j) that lies
// under tap (r, s) of the window of output pixel (n, oh, ow).
template <typename F>
void for_each_tap(const Array& x, std::int64_t oh_count, std::int64_t ow_count,
                  std::int64_t rows, std::int64_t columns, int stride, int pad,
                  F f) {
  for (std::int64_t n = 0; n < x.dim(0); ++n)
    for (std::int64_t oh = 0; oh < oh_count; ++oh)
      for (std::int64_t ow = 0; ow < ow_count; ++ow)
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t s = 0; s < columns; ++s) {
            const std::int64_t i = oh * stride + r - pad;
            const std::int64_t j = ow * stride + s - pad;
            if (i >= 0 && i < x.dim(1) && j >= 0 && j < x.dim(2))
              f(i, j, n, oh, ow, r, s);
          }
}

inline std::int64_t window_count(std::int64_t n, std::int64_t size, int stride,
                                 int pad) {
  return (n + 2 * pad - size) / stride + 1;
}

struct Conv2dGradients {
  Array dx, dw;
};

// Element (i, j, k, ...) of an array of rank 4.
inline std::int64_t offset(const Array& a, std::int64_t i, std::int64_t j,
                           std::int64_t k, std::int64_t l) {
  return ((i * a.dim(1) + j) * a.dim(2) + k) * a.dim(3) + l;
}

// x [N,H,W,C], w [K,R,S,C] -> y [N,Ho,Wo,K]
inline Array conv2d(const Array& x, const Array& w, int stride, int pad) {
  Array y({x.dim(0), window_count(x.dim(1), w.dim(1), stride, pad),
           window_count(x.dim(2), w.dim(2), stride, pad), w.dim(0)});
  for_each_tap(x, y.dim(1), y.dim(2), w.dim(1), w.dim(2), stride, pad,
               [&](auto i, auto j, auto n, auto oh, auto ow, auto r, auto s) {
                 for (std::int64_t k = 0; k < w.dim(0); ++k)
                   for (std::int64_t c = 0; c < x.dim(3); ++c)
                     y[offset(y, n, oh, ow, k)] +=
                         x[offset(x, n, i, j, c)] * w[offset(w, k, r, s, c)];
               });
  return y;
}

inline Conv2dGradients conv2d_backward(const Array& x, const Array& w,
                                       const Array& dy, int stride, int pad) {
  Conv2dGradients g{Array(x.shape), Array(w.shape)};
  for_each_tap(
      x, dy.dim(1), dy.dim(2), w.dim(1), w.dim(2), stride, pad,
      [&](auto i, auto j, auto n, auto oh, auto ow, auto r, auto s) {
        for (std::int64_t k = 0; k < w.dim(0); ++k) {
          const double d = dy[offset(dy, n, oh, ow, k)];
          for (std::int64_t c = 0; c < x.dim(3); ++c) {
            g.dx[offset(x, n, i, j, c)] += d * w[offset(w, k, r, s, c)];
            g.dw[offset(w, k, r, s, c)] += d * x[offset(x, n, i, j, c)];
          }
        }
      });
  return g;
}

struct MaxPooled {
  Array y;
  std::vector<std::int64_t> winner;  // for each output, its element of x
};

// Padding never wins; a tie goes to the first in row order.
inline MaxPooled max_pool(const Array& x, int size, int stride, int pad) {
  MaxPooled out;
  out.y = Array({x.dim(0), window_count(x.dim(1), size, stride, pad),
                 window_count(x.dim(2), size, stride, pad), x.dim(3)});
  out.y.data.assign(out.y.data.size(),
                    -std::numeric_limits<double>::infinity());
  out.winner.assign(out.y.data.size(), -1);
  for_each_tap(x, out.y.dim(1), out.y.dim(2), size, size, stride, pad,
               [&](auto i, auto j, auto n, auto oh, auto ow, auto, auto) {
                 for (std::int64_t c = 0; c < x.dim(3); ++c) {
                   const std::int64_t from = offset(x, n, i, j, c);
                   const std::int64_t to = offset(out.y, n, oh, ow, c);
                   std::int64_t& winner =
                       out.winner[static_cast<std::size_t>(to)];
                   if (winner < 0 || x[from] > out.y[to]) {
                     out.y[to] = x[from];
                     winner = from;
                   }
                 }
               });
  return out;
}

inline Array max_pool_backward(const Array& x, const MaxPooled& forward,
                               const Array& dy) {
  Array dx(x.shape);
  for (std::int64_t i = 0; i < dy.size(); ++i)
    dx[forward.winner[static_cast<std::size_t>(i)]] += dy[i];
  return dx;
}

// Windows of an axis: count of size, stride apart.
struct PoolAxis {
  std::int64_t size, stride, count;
};

// Calls f(element of x, element of y) for every place of every window.
template <typename F>
void for_each_pooled(const Array& x, const Array& y, PoolAxis rows,
                     PoolAxis columns, F f) {
  for (std::int64_t n = 0; n < x.dim(0); ++n)
    for (std::int64_t oh = 0; oh < rows.count; ++oh)
      for (std::int64_t ow = 0; ow < columns.count; ++ow)
        for (std::int64_t r = 0; r < rows.size; ++r)
          for (std::int64_t s = 0; s < columns.size; ++s)
            for (std::int64_t c = 0; c < x.dim(3); ++c)
              f(offset(x, n, oh * rows.stride + r, ow * columns.stride + s, c),
                offset(y, n, oh, ow, c));
}

inline Array avg_pool(const Array& x, PoolAxis rows, PoolAxis columns) {
  Array y({x.dim(0), rows.count, columns.count, x.dim(3)});
  const double area = static_cast<double>(rows.size * columns.size);
  for_each_pooled(x, y, rows, columns,
                  [&](auto from, auto to) { y[to] += x[from] / area; });
  return y;
}

inline Array avg_pool_backward(const Array& x, const Array& dy, PoolAxis rows,
                               PoolAxis columns) {
  Array dx(x.shape);
  const double area = static_cast<double>(rows.size * columns.size);
  for_each_pooled(x, dy, rows, columns,
                  [&](auto from, auto to) { dx[from] += dy[to] / area; });
  return dx;
}

// [N,H,W,C] -> [N,C]
inline Array global_avg_pool(const Array& x) {
  Array y({x.dim(0), x.dim(3)});
  const std::int64_t c = x.dim(3), area = x.dim(1) * x.dim(2);
  for (std::int64_t i = 0; i < x.size(); ++i)
    y[i / (area * c) * c + i % c] += x[i] / static_cast<double>(area);
  return y;
}

inline Array global_avg_pool_backward(const Array& x, const Array& dy) {
  Array dx(x.shape);
  const std::int64_t c = x.dim(3), area = x.dim(1) * x.dim(2);
  for (std::int64_t i = 0; i < x.size(); ++i)
    dx[i] = dy[i / (area * c) * c + i % c] / static_cast<double>(area);
  return dx;
}

}  // namespace music::reference
