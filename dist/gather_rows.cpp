#include "dist/gather_rows.h"

#include <vector>

#include "dist/timetable.h"
#include "engine/core/shard.h"
#include "engine/ops/cast.h"
#include "engine/ops/function_kernel.h"

namespace music::dist {
namespace {

// To plans: an exchange of the rows of all ranks.
void tell(Node& node, Collective::Kind kind, const Shape& all, DType dtype) {
  node.exchanges = [kind, bytes = static_cast<double>(all.elements()) *
                                  static_cast<double>(size_of(dtype))](
                       Timetable& t) { t.run(kind, bytes); };
}

// This rank's rows of the sum of dy over the ranks.
Value scatter_rows(Graph& graph, Value dy, Communicator& communicator,
                   const std::vector<std::int64_t>& counts,
                   const Shape& shape) {
  Node node;
  node.op = "scatter_rows";
  node.needs_no_rows = true;
  node.inputs = {dy};
  node.make = [&communicator, counts](const KernelRequest&) {
    return function_kernel([&communicator, counts](const KernelArgs& a) {
      communicator.run(Collective::reduce_scatter(a.in[0], a.out[0], counts),
                       a.stream);
    });
  };
  tell(node, Collective::Kind::kReduceScatter, graph.shape(dy), DType::kF32);
  return graph.add1(std::move(node), shape);
}

}  // namespace

std::int64_t first_row(const Communicator& communicator, std::int64_t samples) {
  std::int64_t row = 0;
  for (int r = 0; r < communicator.rank(); ++r)
    row += shard_size(samples, r, communicator.size());
  return row;
}

Value gather_rows(Graph& graph, Value x, Communicator& communicator,
                  std::int64_t samples) {
  const Shape xs = graph.shape(x);
  const DType dtype = graph.info(x).dtype;
  const std::int64_t rows =
      shard_size(samples, communicator.rank(), communicator.size());
  MUSIC_CHECK(xs.rank() >= 1 && xs[0] == rows,
              "[gather_rows] input {} of rank {} of {}, expected {} of {} rows",
              xs.str(), communicator.rank(), communicator.size(), rows,
              samples);
  if (communicator.size() == 1) return x;
  std::int64_t width = 1;
  for (int d = 1; d < xs.rank(); ++d) width *= xs[d];
  std::vector<std::int64_t> counts;
  for (int r = 0; r < communicator.size(); ++r)
    counts.push_back(shard_size(samples, r, communicator.size()) * width);
  std::vector<std::int64_t> dims(xs.dims().begin(), xs.dims().end());
  dims[0] = samples;
  Node node;
  node.op = "gather_rows";
  node.needs_no_rows = true;
  node.inputs = {x};
  node.make = [&communicator, counts](const KernelRequest&) {
    return function_kernel([&communicator, counts](const KernelArgs& a) {
      communicator.run(Collective::all_gather(a.in[0], a.out[0], counts),
                       a.stream);
    });
  };
  node.backward = [&communicator, counts, xs, dtype](
                      Graph& g, const Node&,
                      const std::vector<GradientParts>& dy) {
    const Value d = cast(g, g.sum(dy[0]), DType::kF32);
    return std::vector<Value>{
        cast(g, scatter_rows(g, d, communicator, counts, xs), dtype)};
  };
  tell(node, Collective::Kind::kAllGather, Shape(dims), dtype);
  return graph.add1(std::move(node), Shape(dims), dtype);
}

}  // namespace music::dist
