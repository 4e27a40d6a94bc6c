#pragma once
// What losses of two views have in common as nodes of a graph.

#include <functional>
#include <memory>
#include <string>

#include "engine/ops/kernel.h"
#include "music/loss/shared_batch.h"
#include "music/loss/view_loss_price.h"

namespace music {

struct ViewLossValues {
  Value total, terms, deviation;
};

// z [2N,D] F32 -> total [1], dz [2N,D], terms f64 [count] and deviation [2,D],
// the last two kept. Backward scales dz. kInternal where z is anything else.
// Without a price plans are told nothing.
ViewLossValues add_view_loss(
    Graph& graph, const std::string& op, Value z, std::int64_t terms,
    std::function<std::unique_ptr<Kernel>(const KernelRequest&)> make,
    const ViewLossPrice& price = {});

// The processes that share the batch; null where this one has all of it.
// samples: of this process. kInternal unless they are its share, which may be
// none, of at least 1.
dist::Communicator* sharing(const std::string& op, const SharedBatch& batch,
                            std::int64_t samples);

}  // namespace music
