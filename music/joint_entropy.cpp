#include "music/joint_entropy.h"

#include "engine/cuda/no_cuda.h"
#include "engine/ops/scale.h"
#include "music/cpu/joint_entropy.h"

namespace music {

JointEntropyValues joint_entropy(Graph& graph, Value z, const Segments& segments,
                                 const JointEntropySpec& spec) {
  const Shape zs = graph.shape(z);
  MUSIC_CHECK(zs.rank() == 2 && zs[0] % 2 == 0 && zs[1] == segments.units(),
              "[joint_entropy] logits {}, expected [2N,{}]", zs.str(),
              segments.units());
  Node node;
  node.op = "joint_entropy";
  node.inputs = {z};
  node.make = [=](const KernelRequest& r) {
    return MUSIC_MAKE(make_joint_entropy, r, segments, spec);
  };
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

namespace cpu {
namespace {

class JointEntropyKernel final : public Kernel {
 public:
  JointEntropyKernel(std::int64_t n, const Segments& segments,
                     const JointEntropySpec& spec)
      : half_(n * segments.units()), body_({n, &segments, spec}) {}
  std::size_t workspace_bytes() const override { return body_.workspace_bytes(); }
  void run(const KernelArgs& args) override {
    const float* z = args.in[0].f32();
    float* dz = args.out[1].f32();
    JointEntropyTerms t;
    body_.run(z, z + half_, dz, dz + half_, args.out[3].f32(), t,
              args.workspace);
    args.out[0].f32()[0] = static_cast<float>(t.total);
    double* terms = args.out[2].as<double>();
    terms[0] = t.de, terms[1] = t.oe, terms[2] = t.ti, terms[3] = t.total;
  }

 private:
  std::int64_t half_;  // elements of one view
  JointEntropy body_;
};

}  // namespace

std::unique_ptr<Kernel> make_joint_entropy(const KernelRequest& r,
                                           Segments segments,
                                           JointEntropySpec spec) {
  return std::make_unique<JointEntropyKernel>(r.in[0].shape[0] / 2, segments,
                                              spec);
}

}  // namespace cpu

namespace cuda {
MUSIC_NO_CUDA(make_joint_entropy, Segments, JointEntropySpec)
}  // namespace cuda

}  // namespace music
