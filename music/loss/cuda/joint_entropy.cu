#include "music/loss/joint_entropy.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/core/device_runtime.h"
#include "engine/core/shard.h"
#include "engine/cuda/launch.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cuda/entropy_codes.h"
#include "music/loss/cuda/entropy_rule.h"
#include "music/loss/cuda/joint_entropy.h"
#include "music/loss/cuda/parts.h"
#include "music/loss/cuda/segment_loss.h"
#include "music/loss/cuda/tile_slabs.h"

namespace music::cuda {
namespace {

constexpr int kSumThreads = 512;

// sums: of the entropy off the diagonal blocks, of what centring added to it,
// of the invariance, of the diagonal. One block.
__global__ void __launch_bounds__(kSumThreads)
    sum_terms(Parts panels, Parts centre, Parts invariance, Parts diagonal,
              double* sums) {
  const double a = sum_parts(panels);
  const double b = sum_parts(centre);
  const double c = sum_parts(invariance);
  const double d = sum_parts(diagonal);
  if (threadIdx.x > 0) return;
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

struct Coefficients {
  double de, oe, ti;
};

__device__ void add_terms(const Coefficients& by, double* terms, float* total) {
  terms[3] = by.de * terms[0] + by.oe * terms[1] + by.ti * terms[2];
  *total = static_cast<float>(terms[3]);
}

// terms: DE, OE, TI, total.
__global__ void terms_of_sums(const double* sums, EntropyWeights weights,
                              double n, double segments, double share,
                              Coefficients by, double* terms, float* total) {
  if (threadIdx.x > 0) return;
  terms[0] = share * weights.diagonal * sums[3];
  terms[1] = share * weights.off_diagonal * (sums[0] - sums[1] / n);
  terms[2] = share * sums[2] / (n * segments);
  add_terms(by, terms, total);
}
__global__ void total_of_terms(Coefficients by, double* terms, float* total) {
  if (threadIdx.x == 0) add_terms(by, terms, total);
}

// Processes that share a batch form either one P of all samples (global), slab
// by slab, or each its own, whose losses are averaged by samples.
class JointEntropyKernel final : public Kernel {
 public:
  JointEntropyKernel(std::int64_t n, const Segments& segments,
                     const JointEntropySpec& spec, const SharedBatch& batch,
                     DType codes, const PanelWidths* widths)
      : n_((check(n, segments, spec, batch), n)),
        spec_(spec),
        communicator_(batch.communicator && batch.communicator->size() > 1
                          ? batch.communicator
                          : nullptr),
        global_(communicator_ && spec.scope == LossScope::kGlobal),
        all_(communicator_ ? batch.samples : n),
        samples_(global_ ? all_ : std::max<std::int64_t>(1, n)),
        weights_(entropy_weights(spec.norm, segments.count())),
        segments_(segments, spec.blocks),
        plan_(n, segments_.table(), codes) {
    // One segment has no off-diagonal block, no sample no P of its own.
    if (segments.count() > 1 && (n > 0 || global_)) {
      const Gradients gradients =
          spec.oe != 0 ? Gradients::kBoth : Gradients::kNone;
      const float unscale = 1.0f / code_scale(codes);
      const TileProduct product{
          n, segments.units(), plan_.stride, codes,
          unscale * unscale / static_cast<float>(samples_), unscale};
      if (global_)
        slabs_.emplace(*communicator_, samples_,
                       column_slabs(segments, communicator_->size()), product,
                       gradients, widths ? widths->panel : 0);
      else
        panels_.emplace(product, gradients,
                        widths ? *widths : panel_widths(product.units, codes));
    }
    Workspace none;
    workspace_bytes_ = carve(nullptr, none);
  }

  std::size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const KernelArgs& args) override {
    Workspace w;
    carve(args.workspace, w);
    const float* z = args.in[0].f32();
    float* dz = args.out[1].f32();
    const double n = static_cast<double>(samples_);
    const double count = static_cast<double>(plan_.segments.count);
    // Of the batch's loss in this process's.
    const double share =
        global_ ? 1 : static_cast<double>(n_) / static_cast<double>(all_);
    const float inverse_t = static_cast<float>(1 / spec_.temperature);
    const float clamp = static_cast<float>(spec_.clamp);
    const Tensor mean_q = args.out[3];

    encode(plan_, inverse_t, clamp, z, w.codes, w.softmax, w.columns,
           args.stream);
    total_columns(plan_, w.columns, w.totals, args.stream);
    if (global_) sum_over_ranks(w.totals, totals(), args.stream);
    finish_columns(plan_, w.totals, samples_, all_,
                   share * spec_.de * weights_.diagonal,
                   {w.diagonal, mean_q.f32(), w.unit_scale, w.diagonal_parts},
                   args.stream);
    if (communicator_ && !global_)
      communicator_->all_reduce(mean_q, dist::Reduction::kSum, args.stream);
    const std::size_t view = static_cast<std::size_t>(n_ * plan_.stride) *
                             size_of(plan_.codes);
    const std::byte* const q1 = static_cast<const std::byte*>(w.codes);
    float* const dz2 = dz + n_ * plan_.segments.units;
    const float* const scale2 = w.unit_scale + plan_.stride;
    if (panels_)
      panels_->run(q1, q1 + view, EntropyRule(segments_.table(), w.unit_scale,
                                              scale2),
                   dz, dz2, w.panel_parts, w.panels, args.stream);
    if (slabs_) {
      const std::int64_t first = slabs_->first_column();
      if (slabs_->columns() > 0)
        copy(w.slab_scale, scale2 + first,
             static_cast<std::size_t>(slabs_->columns()) * sizeof(float),
             args.stream);
      slabs_->run(q1, q1 + view, EntropyRule(segments_.table(), w.unit_scale,
                                             w.slab_scale, first),
                  dz, dz2, w.panel_parts, w.panels, args.stream);
    }
    segment_loss(
        plan_.segments, n_,
        {.z = z,
         .softmax = w.softmax,
         .diagonal = w.diagonal,
         .dz = dz,
         .row_centre = w.row_centre,
         .row_invariance = w.row_invariance,
         .entropy = (panels_ || slabs_) && spec_.oe != 0,
         .entropy_scale = share * spec_.oe * weights_.off_diagonal / n,
         .invariance_scale =
             static_cast<float>(-share * spec_.ti / (n * count)),
         .invariance = spec_.invariance,
         .inverse_temperature = inverse_t,
         .clamp = clamp,
         .log_clamp = static_cast<float>(std::log(spec_.clamp))},
        args.stream);

    double* const terms = args.out[2].as<double>();
    float* const total = args.out[0].f32();
    const Coefficients by{spec_.de, spec_.oe, spec_.ti};
    launch(sum_terms, {1, 1, 1, kSumThreads}, args.stream,
           Parts{w.panel_parts, panel_parts()}, Parts{w.row_centre, n_},
           Parts{w.row_invariance, n_},
           Parts{w.diagonal_parts, plan_.column_blocks}, w.sums);
    // The diagonal is of all samples already.
    if (global_) sum_over_ranks(w.sums, 3, args.stream);
    launch(terms_of_sums, {1, 1, 1, 32}, args.stream, w.sums, weights_, n,
           count, share, by, terms, total);
    if (communicator_ && !global_) {
      sum_over_ranks(terms, 3, args.stream);
      launch(total_of_terms, {1, 1, 1, 32}, args.stream, by, terms, total);
    }
  }

 private:
  struct Workspace {
    void* codes;
    SegmentSoftmax* softmax;
    float *columns, *diagonal, *unit_scale;
    float* slab_scale;  // unit_scale of the slab's columns, on a vector
    double *totals, *diagonal_parts, *panel_parts, *row_centre,
        *row_invariance, *sums;
    void* panels;
  };
  static void check(std::int64_t n, const Segments& segments,
                    const JointEntropySpec& spec, const SharedBatch& batch) {
    check_spec(spec, segments.count());
    const std::int64_t all = batch.communicator ? batch.samples : n;
    MUSIC_CHECK(all >= 1, "[joint_entropy] {} samples, expected at least 1", all);
    if (!batch.communicator) return;
    const int rank = batch.communicator->rank();
    const int size = batch.communicator->size();
    MUSIC_CHECK(n == shard_size(batch.samples, rank, size),
                "[joint_entropy] rank {} of {} has {} of {} samples, expected "
                "{}", rank, size, n, batch.samples,
                shard_size(batch.samples, rank, size));
  }
  void sum_over_ranks(double* data, std::int64_t count, void* stream) const {
    communicator_->all_reduce({data, Shape{count}, DType::kF64},
                              dist::Reduction::kSum, stream);
  }
  std::size_t carve(void* base, Workspace& w) const {
    std::size_t offset = 0;
    const auto take = [&]<typename T>(T*& pointer, std::size_t bytes) {
      pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                     offset);
      offset += workspace_part(bytes);
    };
    const auto floats = [](std::int64_t count) {
      return static_cast<std::size_t>(count) * sizeof(float);
    };
    const auto doubles = [](std::int64_t count) {
      return static_cast<std::size_t>(count) * sizeof(double);
    };
    take(w.panels, panels_   ? panels_->workspace_bytes()
                   : slabs_ ? slabs_->workspace_bytes()
                            : 0);
    take(w.codes, plan_.codes_bytes);
    take(w.softmax, plan_.softmax_bytes);
    take(w.columns, plan_.partial_bytes);
    take(w.totals, plan_.totals_bytes);
    take(w.diagonal, floats(plan_.segments.units));
    take(w.unit_scale, floats(2 * plan_.stride));
    take(w.slab_scale, floats(slabs_ ? slabs_->columns() : 0));
    take(w.diagonal_parts, doubles(plan_.column_blocks));
    take(w.panel_parts, doubles(panel_parts()));
    take(w.row_centre, doubles(n_));
    take(w.row_invariance, doubles(n_));
    take(w.sums, doubles(4));
    return offset;
  }
  std::int64_t totals() const {
    return static_cast<std::int64_t>(plan_.totals_bytes / sizeof(double));
  }
  std::int64_t panel_parts() const {
    return panels_ ? panels_->parts() : slabs_ ? slabs_->parts() : 0;
  }

  std::int64_t n_;  // samples of this process
  JointEntropySpec spec_;
  dist::Communicator* communicator_;  // null: one process
  bool global_;
  std::int64_t all_, samples_;  // of the batch; that P is the mean of
  EntropyWeights weights_;
  DeviceSegments segments_;
  CodesPlan plan_;
  std::optional<TilePanels> panels_;
  std::optional<TileSlabs> slabs_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_joint_entropy(const KernelRequest& r,
                                           Segments segments,
                                           JointEntropySpec spec,
                                           SharedBatch batch, DType codes) {
  return std::make_unique<JointEntropyKernel>(r.in[0].shape[0] / 2, segments,
                                              spec, batch, codes, nullptr);
}

std::unique_ptr<Kernel> make_joint_entropy(const KernelRequest& r,
                                           Segments segments,
                                           JointEntropySpec spec,
                                           SharedBatch batch, DType codes,
                                           PanelWidths widths) {
  return std::make_unique<JointEntropyKernel>(r.in[0].shape[0] / 2, segments,
                                              spec, batch, codes, &widths);
}

}  // namespace music::cuda
