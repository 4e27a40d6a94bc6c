#include <algorithm>
#include <numeric>

#include "engine/core/device_runtime.h"
#include "engine/core/shard.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cuda/slab_entropy.h"

namespace music::cuda {
namespace {

using dist::Collective;
using dist::Ticket;

// Rows of every block start on a vector.
constexpr std::int64_t padded(std::int64_t columns) {
  return ceil_div(columns, kPack) * kPack;
}

std::byte* at(const void* base, std::int64_t element, std::size_t size) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(base)) +
         static_cast<std::size_t>(element) * size;
}

}  // namespace

struct SlabEntropy::Workspace {
  void* q2;        // [N, slab], codes
  float* dq2;      // [N, slab]
  void* blocks;    // [n, D by slabs]: codes q'' on their way, later dq''
  void* q1[2];     // [N, panel], codes
  float* dq1[2];   // [N, panel]
  float* own[2];   // [n, panel], dq' of this rank's samples
  float* scales;   // [slab], of the slab's columns
  float* p;        // [panel, slab]
  void* g;         // [panel, slab]; with F32 codes p itself
  void* products;  // workspace
};

SlabEntropy::SlabEntropy(dist::Communicator& communicator, std::int64_t samples,
                         const Segments& segments, const CodesPlan& codes,
                         bool gradient, std::int64_t panel)
    : communicator_(&communicator),
      plan_(codes),
      samples_(samples),
      first_(0),
      gradient_(gradient),
      rank_(static_cast<std::size_t>(communicator.rank())),
      slab_(column_slabs(segments, communicator.size())) {
  const int ranks = communicator.size();
  for (int r = 0; r < ranks; ++r) {
    shard_.push_back(shard_size(samples, r, ranks));
    if (r < communicator.rank()) first_ += shard_.back();
  }
  for (std::size_t r = 0; r < shard_.size(); ++r) {
    sent_.push_back(plan_.n * padded(columns(r)));
    received_.push_back(shard_[r] * padded(columns(rank_)));
  }
  const std::int64_t units = plan_.segments.units;
  if (panel == 0)
    panel = gpu_panel_units(samples, segments, ranks,
                            static_cast<std::int64_t>(size_of(codes.codes)));
  MUSIC_CHECK(panel > 0 && panel % kPack == 0,
              "[joint_entropy] panels of {} units", panel);
  panel_ = std::min(panel, padded(units));
  panels_ = ceil_div(units, panel_);
  for (std::int64_t p = 0; p < panels_ && columns(rank_) > 0; ++p) {
    parts_ += centre_parts(width(p));
    if (products_.contains(width(p))) continue;
    const Products& made =
        products_.emplace(width(p), products(width(p))).first->second;
    for (const Gemm* g : {&made.probabilities, &made.second, &made.first})
      gemm_bytes_ = std::max(gemm_bytes_, g->workspace_bytes());
  }
  Workspace none;
  workspace_bytes_ = carve(nullptr, none);
}

std::int64_t SlabEntropy::width(std::int64_t p) const {
  return std::min(panel_, plan_.segments.units - begin(p));
}

SlabEntropy::Products SlabEntropy::products(std::int64_t width) const {
  const std::int64_t slab = columns(rank_), slab_stride = padded(slab);
  const std::int64_t panel_stride = padded(width);
  return {Gemm({width, slab, samples_, panel_stride, slab_stride, slab_stride,
                true, false, plan_.codes}),
          Gemm({samples_, slab, width, panel_stride, slab_stride, slab_stride,
                false, false, plan_.codes}),
          Gemm({samples_, width, slab, slab_stride, slab_stride, panel_stride,
                false, true, plan_.codes})};
}

std::size_t SlabEntropy::carve(void* base, Workspace& w) const {
  std::size_t offset = 0;
  const auto take = [&]<typename T>(T*& pointer, std::int64_t count,
                                    std::size_t size = sizeof(float)) {
    pointer =
        reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) + offset);
    offset += workspace_part(static_cast<std::size_t>(count) * size);
  };
  const std::size_t code = size_of(plan_.codes);
  const std::int64_t slab = padded(columns(rank_));
  const std::int64_t exchanged =
      std::accumulate(sent_.begin(), sent_.end(), std::int64_t{0});
  take(w.q2, samples_ * slab, code);
  take(w.dq2, gradient_ ? samples_ * slab : 0);
  take(w.blocks, exchanged, gradient_ ? sizeof(float) : code);
  for (std::int64_t b = 0; b < 2; ++b) {
    const std::int64_t units = b < panels_ ? panel_ : 0;
    take(w.q1[b], samples_ * units, code);
    take(w.dq1[b], gradient_ ? samples_ * units : 0);
    take(w.own[b], gradient_ ? plan_.n * units : 0);
  }
  take(w.scales, slab);
  take(w.p, panel_ * slab);
  w.g = w.p;
  if (plan_.codes != DType::kF32 && gradient_) take(w.g, panel_ * slab, code);
  w.products = at(base, static_cast<std::int64_t>(offset), 1);
  return offset + workspace_part(gemm_bytes_);
}

std::vector<std::int64_t> SlabEntropy::by_samples(std::int64_t stride) const {
  std::vector<std::int64_t> counts;
  for (const std::int64_t n : shard_) counts.push_back(n * stride);
  return counts;
}

Tensor SlabEntropy::block(const void* data, std::int64_t count,
                          DType dtype) const {
  return {const_cast<void*>(data), Shape{count}, dtype};
}

void SlabEntropy::exchange_columns(bool split, std::byte* rows,
                                   std::int64_t row_stride, std::byte* blocks,
                                   std::size_t element, void* stream) const {
  for (std::size_t r = 0; r < shard_.size(); ++r) {
    const auto size = static_cast<std::int64_t>(element);
    const Pitched in_rows{at(rows, slab_[r], element), row_stride * size};
    const Pitched in_block{blocks, padded(columns(r)) * size};
    copy_rows(split ? in_block : in_rows, split ? in_rows : in_block,
              columns(r) * size, plan_.n, stream);
    blocks = at(blocks, sent_[r], element);
  }
}

void SlabEntropy::run(const void* codes, const float* unit_scale, float* dq,
                      double* entropy, void* workspace, void* stream) const {
  Workspace w;
  carve(workspace, w);
  dist::Communicator& comm = *communicator_;
  const DType type = plan_.codes;
  const std::size_t code = size_of(type);
  const auto code_bytes = static_cast<std::int64_t>(code);
  constexpr std::int64_t kFloat = sizeof(float);
  const std::int64_t n = plan_.n, units = plan_.segments.units;
  const std::int64_t slab = columns(rank_), slab_stride = padded(slab);
  const std::int64_t exchanged =
      std::accumulate(sent_.begin(), sent_.end(), std::int64_t{0});
  const float unscale = 1.0f / code_scale(type);
  const float mean = unscale * unscale / static_cast<float>(samples_);

  const auto gather = [&](std::int64_t p) {
    const std::int64_t stride = padded(width(p));
    std::byte* const own = at(w.q1[p % 2], first_ * stride, code);
    copy_rows({own, stride * code_bytes},
              {at(codes, begin(p), code), plan_.stride * code_bytes},
              width(p) * code_bytes, n, stream);
    return comm.start(
        Collective::all_gather(block(own, n * stride, type),
                               block(w.q1[p % 2], samples_ * stride, type),
                               by_samples(stride)),
        stream);
  };
  const auto reduce = [&](std::int64_t p) {
    const std::int64_t stride = padded(width(p));
    return comm.start(
        Collective::reduce_scatter(
            block(w.dq1[p % 2], samples_ * stride, DType::kF32),
            block(w.own[p % 2], n * stride, DType::kF32), by_samples(stride)),
        stream);
  };
  const auto deliver = [&](std::int64_t p, Ticket reduced) {
    comm.wait(reduced, stream);
    copy_rows({dq + begin(p), units * kFloat},
              {w.own[p % 2], padded(width(p)) * kFloat}, width(p) * kFloat, n,
              stream);
  };

  exchange_columns(true, at(codes, n * plan_.stride, code), plan_.stride,
                   static_cast<std::byte*>(w.blocks), code, stream);
  const Ticket sent =
      comm.start(Collective::all_to_all(
                     block(w.blocks, exchanged, type), sent_,
                     block(w.q2, samples_ * slab_stride, type), received_),
                 stream);
  Ticket gathered = gather(0), reduced;
  if (slab > 0)
    copy(w.scales, unit_scale + plan_.stride + slab_[rank_],
         static_cast<std::size_t>(slab * kFloat), stream);
  comm.wait(sent, stream);

  for (std::int64_t p = 0; p < panels_; ++p) {
    const Ticket next = p + 1 < panels_ ? gather(p + 1) : Ticket{};
    comm.wait(gathered, stream);
    gathered = next;
    float* const dq1 = w.dq1[p % 2];
    if (slab > 0) {
      const Products& by = products_.at(width(p));
      by.probabilities.run(w.q1[p % 2], w.q2, w.p, nullptr, mean, 0, w.products,
                           stream);
      centre(plan_, {begin(p), width(p), slab_[rank_], slab},
             unit_scale + begin(p), w.scales, w.p, slab_stride,
             gradient_ ? w.g : nullptr, slab_stride, entropy, stream);
      entropy += centre_parts(width(p));
      if (gradient_) {
        by.second.run(w.q1[p % 2], w.g, w.dq2, nullptr, unscale, p == 0 ? 0 : 1,
                      w.products, stream);
        by.first.run(w.q2, w.g, dq1, nullptr, unscale, 0, w.products, stream);
      }
    } else if (gradient_) {
      set(dq1, 0,
          static_cast<std::size_t>(samples_ * padded(width(p)) * kFloat),
          stream);
    }
    if (!gradient_) continue;
    const Ticket previous = reduced;
    reduced = reduce(p);
    if (p > 0) deliver(p - 1, previous);
  }
  if (!gradient_) return;
  deliver(panels_ - 1, reduced);
  comm.run(Collective::all_to_all(
               block(w.dq2, samples_ * slab_stride, DType::kF32), received_,
               block(w.blocks, exchanged, DType::kF32), sent_),
           stream);
  exchange_columns(false, reinterpret_cast<std::byte*>(dq + n * units), units,
                   static_cast<std::byte*>(w.blocks), sizeof(float), stream);
}

}  // namespace music::cuda
