// The loss node of the graph on the CPU.

#include "music/loss/cpu/joint_entropy.h"
#include "music/loss/joint_entropy.h"

namespace music::cpu {
namespace {

class JointEntropyKernel final : public Kernel {
 public:
  JointEntropyKernel(std::int64_t n, const Segments& segments,
                     const JointEntropySpec& spec, const SharedBatch& batch)
      : half_(n * segments.units()),
        body_({n, &segments, spec, 0, batch.communicator, batch.samples}) {}
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
                                           JointEntropySpec spec,
                                           SharedBatch batch, DType codes) {
  if (codes != DType::kF32)
    throw error(ExitCode::kUsage,
                "[joint_entropy] codes in {}: on a CPU they are F32",
                name_of(codes));
  return std::make_unique<JointEntropyKernel>(r.in[0].shape[0] / 2, segments,
                                              spec, batch);
}

}  // namespace music::cpu
