#pragma once
// Rows, that is slices of the leading axis: cut out, joined, reordered. Any
// dtype and any trailing shape; each copies (memcpy), and has its adjoint.

#include <cstdint>
#include <vector>

#include "engine/ops/kernel.h"

namespace music {

// Rows [begin, begin + count) of x. Gradient: dy between rows of zeros.
Value slice_rows(Graph& graph, Value x, std::int64_t begin, std::int64_t count);

// The rows of all parts, in order. Gradient: slices.
Value concat_rows(Graph& graph, const std::vector<Value>& parts);

// x of M = groups * m rows: row g * m + i of the result is row i * groups + g of
// x, so that each of `groups` equal parts holds every groups-th row. Its
// inverse, and its gradient, is interleave_rows(x, m).
Value interleave_rows(Graph& graph, Value x, std::int64_t groups);

}  // namespace music
