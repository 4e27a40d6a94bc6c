#pragma once
// The engine's operations as naive loops in double precision, forward and
// backward: the truth that every backend is held to. Layouts and conventions
// are those of engine/ops/*.h; reference_test.cpp holds them to finite
// differences and to PyTorch. In parts: convolution and pooling; rows of
// matrices; objectives; everything else; optimisers.

#include "tests/support/reference_elementwise.h"
#include "tests/support/reference_norm.h"
#include "tests/support/reference_objectives.h"
#include "tests/support/reference_optim.h"
#include "tests/support/reference_rows.h"
#include "tests/support/reference_spatial.h"
