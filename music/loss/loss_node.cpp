#include "music/loss/loss_node.h"

#include "engine/core/shard.h"
#include "engine/ops/scale.h"

namespace music {

ViewLossValues add_view_loss(
    Graph& graph, const std::string& op, Value z, std::int64_t terms,
    std::function<std::unique_ptr<Kernel>(const KernelRequest&)> make,
    const ViewLossPrice& price) {
  const Shape zs = graph.shape(z);
  MUSIC_CHECK(zs.rank() == 2 && zs[0] % 2 == 0,
              "[{}] embeddings {}, expected [2N,D]", op, zs.str());
  MUSIC_CHECK(graph.info(z).dtype == DType::kF32,
              "[{}] embeddings in {}, expected F32", op,
              name_of(graph.info(z).dtype));
  Node node;
  node.op = op;
  node.needs_no_rows = true;
  node.inputs = {z};
  node.make = std::move(make);
  if (price.exchanges) add_price(node, price, zs, graph.device());
  node.backward = [](Graph& g, const Node& n, const std::vector<GradientParts>& d) {
    MUSIC_CHECK(d[2].empty() && d[3].empty(),
                "[{}] only the total has a gradient", n.op);
    return std::vector<Value>{scale(g, n.outputs[1], g.sum(d[0]))};
  };
  const OutputSpec outs[] = {
      {Shape{1}}, {zs}, {Shape{terms}, DType::kF64}, {Shape{2, zs[1]}}};
  const auto out = graph.add(std::move(node), outs);
  graph.keep(out[2]);
  graph.keep(out[3]);
  return {out[0], out[2], out[3]};
}

dist::Communicator* sharing(const std::string& op, const SharedBatch& batch,
                            std::int64_t samples) {
  dist::Communicator* const c = batch.communicator;
  const bool shared = c && c->size() > 1;
  const std::int64_t all = shared ? batch.samples : samples;
  MUSIC_CHECK(all >= 1, "[{}] {} samples, expected at least 1", op, all);
  if (!shared) return nullptr;
  MUSIC_CHECK(samples == shard_size(batch.samples, c->rank(), c->size()),
              "[{}] rank {} of {} has {} of {} samples, expected {}", op,
              c->rank(), c->size(), samples, batch.samples,
              shard_size(batch.samples, c->rank(), c->size()));
  return c;
}

}  // namespace music
