#include "music/joint_entropy.h"

#include <cmath>
#include <optional>

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/launch.h"
#include "music/cuda/joint_entropy.h"
#include "music/cuda/segment_loss.h"

namespace music::cuda {
namespace {

constexpr int kSumThreads = 512;

// Parts of one sum, and what it is multiplied with.
struct Parts {
  const double* values;
  std::int64_t count;
  double weight;
};

__device__ double sum_parts(const Parts& parts) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < parts.count; i += blockDim.x)
    sum += parts.values[i];
  return parts.weight * block_sum(sum);
}

// terms: DE, OE, TI, total. One block.
__global__ void __launch_bounds__(kSumThreads)
    sum_terms(Parts diagonal, Parts panels, Parts centre, Parts invariance,
              double de, double oe, double ti, double* terms, float* total) {
  const double a = sum_parts(diagonal);
  const double b = sum_parts(panels);
  const double c = sum_parts(centre);
  const double d = sum_parts(invariance);
  if (threadIdx.x > 0) return;
  terms[0] = a;
  terms[1] = b - c;
  terms[2] = d;
  terms[3] = de * a + oe * (b - c) + ti * d;
  *total = static_cast<float>(terms[3]);
}

class JointEntropyKernel final : public Kernel {
 public:
  JointEntropyKernel(std::int64_t n, const Segments& segments,
                     const JointEntropySpec& spec, DType codes,
                     const PanelWidths* widths)
      : n_(n),
        spec_(spec),
        weights_(entropy_weights(spec.norm, segments.count())),
        segments_(segments),
        plan_(n, segments_.table(), codes) {
    check_spec(spec);
    MUSIC_CHECK(n >= 1, "[joint_entropy] {} samples, expected at least 1", n);
    // One segment has no off-diagonal block.
    if (segments.count() > 1)
      panels_.emplace(plan_, spec.oe != 0,
                      widths ? *widths : panel_widths(plan_));
    Workspace none;
    workspace_bytes_ = carve(nullptr, none);
  }

  std::size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const KernelArgs& args) override {
    Workspace w;
    carve(args.workspace, w);
    const float* z = args.in[0].f32();
    float* dz = args.out[1].f32();
    const double n = static_cast<double>(n_);
    const double count = static_cast<double>(plan_.segments.count);
    const float inverse_t = static_cast<float>(1 / spec_.temperature);
    const float clamp = static_cast<float>(spec_.clamp);

    encode(plan_, inverse_t, clamp, z, w.codes, w.softmax, w.columns,
           args.stream);
    sum_columns(plan_, w.columns, spec_.de * weights_.diagonal,
                {w.diagonal, args.out[3].f32(), w.unit_scale, w.diagonal_parts},
                args.stream);
    if (panels_)
      panels_->run(w.codes, w.unit_scale, dz, w.panel_parts, w.panels,
                   args.stream);
    segment_loss(
        plan_.segments, n_,
        {.z = z,
         .softmax = w.softmax,
         .diagonal = w.diagonal,
         .dz = dz,
         .row_centre = w.row_centre,
         .row_invariance = w.row_invariance,
         .entropy = panels_ && spec_.oe != 0,
         .entropy_scale = spec_.oe * weights_.off_diagonal / n,
         .invariance_scale = static_cast<float>(-spec_.ti / (n * count)),
         .invariance = spec_.invariance,
         .inverse_temperature = inverse_t,
         .clamp = clamp,
         .log_clamp = static_cast<float>(std::log(spec_.clamp))},
        args.stream);
    launch(sum_terms, {1, 1, 1, kSumThreads}, args.stream,
           Parts{w.diagonal_parts, plan_.column_blocks, weights_.diagonal},
           Parts{w.panel_parts, panel_parts(), weights_.off_diagonal},
           Parts{w.row_centre, n_, weights_.off_diagonal / n},
           Parts{w.row_invariance, n_, 1 / (n * count)}, spec_.de, spec_.oe,
           spec_.ti, args.out[2].as<double>(), args.out[0].f32());
  }

 private:
  struct Workspace {
    void* codes;
    SegmentSoftmax* softmax;
    float *columns, *diagonal, *unit_scale;
    double *diagonal_parts, *panel_parts, *row_centre, *row_invariance;
    void* panels;
  };
  std::size_t carve(void* base, Workspace& w) const {
    std::size_t offset = 0;
    const auto take = [&]<typename T>(T*& pointer, std::size_t bytes) {
      pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                     offset);
      offset += aligned(bytes);
    };
    const auto floats = [](std::int64_t count) {
      return static_cast<std::size_t>(count) * sizeof(float);
    };
    const auto doubles = [](std::int64_t count) {
      return static_cast<std::size_t>(count) * sizeof(double);
    };
    take(w.panels, panels_ ? panels_->workspace_bytes() : 0);
    take(w.codes, plan_.codes_bytes);
    take(w.softmax, plan_.softmax_bytes);
    take(w.columns, plan_.partial_bytes);
    take(w.diagonal, floats(plan_.segments.units));
    take(w.unit_scale, floats(2 * plan_.stride));
    take(w.diagonal_parts, doubles(plan_.column_blocks));
    take(w.panel_parts, doubles(panel_parts()));
    take(w.row_centre, doubles(n_));
    take(w.row_invariance, doubles(n_));
    return offset;
  }
  std::int64_t panel_parts() const { return panels_ ? panels_->parts() : 0; }

  std::int64_t n_;
  JointEntropySpec spec_;
  EntropyWeights weights_;
  DeviceSegments segments_;
  CodesPlan plan_;
  std::optional<EntropyPanels> panels_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_joint_entropy(const KernelRequest& r,
                                           Segments segments,
                                           JointEntropySpec spec,
                                           SharedBatch batch, DType codes) {
  const int processes = batch.communicator ? batch.communicator->size() : 1;
  if (processes > 1)
    throw error(ExitCode::kUsage,
                "[joint_entropy] {} processes share a batch: on a GPU expected "
                "one", processes);
  return std::make_unique<JointEntropyKernel>(r.in[0].shape[0] / 2, segments,
                                              spec, codes, nullptr);
}

std::unique_ptr<Kernel> make_joint_entropy(const KernelRequest& r,
                                           Segments segments,
                                           JointEntropySpec spec, DType codes,
                                           PanelWidths widths) {
  return std::make_unique<JointEntropyKernel>(r.in[0].shape[0] / 2, segments,
                                              spec, codes, &widths);
}

}  // namespace music::cuda
