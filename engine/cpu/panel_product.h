#pragma once
// The matrix product of Winograd convolution (winograd.h): rows times a panel, a
// few vectors of columns, compiled for every instruction set and picked from at run
// time. Sums stay in registers; each is formed in one order.

#include <cstdint>

namespace music::cpu {

// Columns of a panel; the last of a matrix may have half of them.
std::int64_t panel_columns();

// c[i][0..columns) = [c +] sum_r a[i * a_row + r * a_red] b[r * b_red + ...] for i < rows;
// columns: a panel or half of one.
void multiply(std::int64_t rows, std::int64_t reduced, std::int64_t columns,
              const float* a, std::int64_t a_row, std::int64_t a_red,
              const float* b, std::int64_t b_red, float* c, std::int64_t c_row,
              bool add);

}  // namespace music::cpu
