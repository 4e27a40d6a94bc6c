#pragma once
// The table every backend is held to: each op of engine/ops, forward and
// backward, on sizes that are odd, small or awkward. Tensors are in the order
// the op takes them.

#include "tests/support/cases_dense.h"
#include "tests/support/cases_detection.h"
#include "tests/support/cases_elementwise.h"
#include "tests/support/cases_norm.h"
#include "tests/support/cases_objectives.h"
#include "tests/support/cases_rows.h"
#include "tests/support/cases_spatial.h"
#include "tests/support/cases_state.h"

namespace music::test {

inline std::vector<OpCase> op_cases() {
  std::vector<OpCase> cases;
  add_conv2d_cases(cases);
  add_batch_norm_cases(cases);
  add_pool_cases(cases);
  add_roi_align_cases(cases);
  add_linear_cases(cases);
  add_softmax_cases(cases);
  add_elementwise_cases(cases);
  cases.push_back(image_normalize_case({3, 5, 7, 3}));
  add_cast_cases(cases);
  add_all_row_cases(cases);
  add_state_cases(cases);
  add_objective_cases(cases);
  return cases;
}

}  // namespace music::test
