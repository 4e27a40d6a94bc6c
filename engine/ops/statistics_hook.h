#pragma once
// What ops over a batch leave to their caller: how sums over this process's
// samples become sums over those of more (dist/sum_over_ranks.h).

#include <functional>

#include "engine/graph/graph.h"

namespace music {

// Appends what makes statistics of this process's samples those of more.
using StatisticsHook = std::function<Value(Graph&, Value statistics)>;

}  // namespace music
