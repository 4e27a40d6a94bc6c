#pragma once
// A value of the graph, summed over processes.

#include "dist/communicator.h"
#include "dist/timetable.h"
#include "engine/ops/statistics_hook.h"

namespace music::dist {

// The sum over the ranks of x (F32 or F64); x itself where there is one.
// Blocking in the order of the graph, so all ranks record it at the same
// places. Its gradient is the same sum: the loss is the sum of the ranks'
// shares. communicator must outlive the graph. account: whose waiting it is in a
// plan.
Value sum_over_ranks(Graph& graph, Value x, Communicator& communicator,
                     Timetable::Account account = Timetable::Account::kLoss);

// The same as the hook of ops over a batch (batch_norm, sinkhorn,
// column_deviation); null, which leaves them alone, for one process or none.
StatisticsHook over_ranks(
    Communicator* communicator,
    Timetable::Account account = Timetable::Account::kLoss);

}  // namespace music::dist
