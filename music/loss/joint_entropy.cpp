#include "music/loss/joint_entropy.h"

#include "engine/ops/scale.h"
#include "music/loss/column_slabs.h"
#include "music/loss/joint_entropy_price.h"

namespace music {
namespace {

// What plans ask of the node.
void add_price(Node& node, const JointEntropyShare& share) {
  node.work = [share](const Graph& g, const Node& n) {
    NodeWork work = traffic(g, n);
    // Three products with a slab of P, N D x D / R each.
    const auto units = static_cast<double>(share.segments.units());
    work.flops =
        6 * static_cast<double>(share.samples) * units * units / share.ranks;
    // G, in 16 bits, written and read.
    work.bytes += 4 * units * units / share.ranks;
    return work;
  };
  node.workspace = [share, make = node.make](const KernelRequest& r) {
    return r.device == Device::kCpu ? make(r)->workspace_bytes()
                                    : gpu_joint_entropy_workspace(share);
  };
  if (share.ranks == 1) return;
  node.exchanges = [share](dist::Timetable& t) {
    joint_entropy_exchanges(share, t);
  };
  node.largest_rank = widest_slab(column_slabs(share.segments, share.ranks));
}

}  // namespace

JointEntropyValues joint_entropy(Graph& graph, Value z, const Segments& segments,
                                 const JointEntropySpec& spec,
                                 const SharedBatch& batch, DType codes) {
  const Shape zs = graph.shape(z);
  MUSIC_CHECK(zs.rank() == 2 && zs[0] % 2 == 0 && zs[1] == segments.units(),
              "[joint_entropy] logits {}, expected [2N,{}]", zs.str(),
              segments.units());
  MUSIC_CHECK(graph.info(z).dtype == DType::kF32,
              "[joint_entropy] logits in {}, expected F32",
              name_of(graph.info(z).dtype));
  Node node;
  node.op = "joint_entropy";
  node.needs_no_rows = true;
  node.inputs = {z};
  node.make = [=](const KernelRequest& r) {
    return MUSIC_MAKE(make_joint_entropy, r, segments, spec, batch, codes);
  };
  const dist::Communicator* c = batch.communicator;
  add_price(node, {.segments = segments,
                   .spec = spec,
                   .n = zs[0] / 2,
                   .samples = c ? batch.samples : zs[0] / 2,
                   .rank = c ? c->rank() : 0,
                   .ranks = c ? c->size() : 1,
                   .device = graph.device(),
                   .codes = codes});
  node.backward = [](Graph& g, const Node& n, const std::vector<GradientParts>& d) {
    MUSIC_CHECK(d[2].empty() && d[3].empty(),
                "[joint_entropy] only the total has a gradient");
    return std::vector<Value>{scale(g, n.outputs[1], g.sum(d[0]))};
  };
  const OutputSpec outs[] = {{Shape{1}}, {zs}, {Shape{4}, DType::kF64},
                             {Shape{2, zs[1]}}};
  const auto out = graph.add(std::move(node), outs);
  graph.keep(out[2]);
  graph.keep(out[3]);
  return {out[0], out[2], out[3]};
}

}  // namespace music
