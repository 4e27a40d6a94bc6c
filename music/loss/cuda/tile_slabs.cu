#include <algorithm>
#include <numeric>

#include "engine/core/device_runtime.h"
#include "engine/core/shard.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cuda/tile_slabs.h"

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

struct TileSlabs::Workspace {
  void* b;         // [N, slab], codes
  float* db;       // [N, slab]
  void* blocks;    // [n, D by slabs]: codes B on their way, later dB
  void* a[2];      // [N, panel], codes
  float* da[2];    // [N, panel]
  float* own[2];   // [n, panel], dA of this rank's samples
  float* m;        // [panel, slab]
  void* g;         // [panel, slab]; with F32 codes m itself
  void* products;  // workspace
};

TileSlabs::TileSlabs(dist::Communicator& communicator, std::int64_t samples,
                     std::vector<std::int64_t> slabs,
                     const TileProduct& product, Gradients gradients,
                     std::int64_t panel)
    : communicator_(&communicator),
      product_(product),
      samples_(samples),
      first_(0),
      gradients_(gradients),
      rank_(static_cast<std::size_t>(communicator.rank())),
      slab_(std::move(slabs)) {
  const int ranks = communicator.size();
  for (int r = 0; r < ranks; ++r) {
    shard_.push_back(shard_size(samples, r, ranks));
    if (r < communicator.rank()) first_ += shard_.back();
  }
  for (std::size_t r = 0; r < shard_.size(); ++r) {
    sent_.push_back(product_.n * padded(columns(r)));
    received_.push_back(shard_[r] * padded(columns(rank_)));
  }
  const std::int64_t units = product_.units;
  if (panel == 0)
    panel = gpu_panel_units(samples, slab_,
                            static_cast<std::int64_t>(size_of(product.codes)));
  MUSIC_CHECK(panel > 0 && panel % kPack == 0,
              "[tile_slabs] panels of {} units", panel);
  panel_ = std::min(panel, padded(units));
  panels_ = ceil_div(units, panel_);
  for (std::int64_t p = 0; p < panels_ && columns(rank_) > 0; ++p) {
    parts_ += tile_parts(width(p));
    if (products_.contains(width(p))) continue;
    const Products& made =
        products_.emplace(width(p), products(width(p))).first->second;
    for (const Gemm* g : {&made.forward, &made.second, &made.first})
      gemm_bytes_ = std::max(gemm_bytes_, g->workspace_bytes());
  }
  Workspace none;
  workspace_bytes_ = carve(nullptr, none);
}

std::int64_t TileSlabs::width(std::int64_t p) const {
  return std::min(panel_, product_.units - begin(p));
}

TileSlabs::Products TileSlabs::products(std::int64_t width) const {
  const std::int64_t slab = columns(rank_), slab_stride = padded(slab);
  const std::int64_t panel_stride = padded(width);
  return {Gemm({width, slab, samples_, panel_stride, slab_stride, slab_stride,
                true, false, product_.codes}),
          Gemm({samples_, slab, width, panel_stride, slab_stride, slab_stride,
                false, false, product_.codes}),
          Gemm({samples_, width, slab, slab_stride, slab_stride, panel_stride,
                false, true, product_.codes})};
}

std::size_t TileSlabs::carve(void* base, Workspace& w) const {
  std::size_t offset = 0;
  const auto take = [&]<typename T>(T*& pointer, std::int64_t count,
                                    std::size_t size = sizeof(float)) {
    pointer =
        reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) + offset);
    offset += workspace_part(static_cast<std::size_t>(count) * size);
  };
  const std::size_t code = size_of(product_.codes);
  const std::int64_t slab = padded(columns(rank_));
  const std::int64_t exchanged =
      std::accumulate(sent_.begin(), sent_.end(), std::int64_t{0});
  const bool gradient = gradients_ != Gradients::kNone;
  const bool both = gradients_ == Gradients::kBoth;
  take(w.b, samples_ * slab, code);
  take(w.db, gradient ? samples_ * slab : 0);
  take(w.blocks, exchanged, gradient ? sizeof(float) : code);
  for (std::int64_t i = 0; i < 2; ++i) {
    const std::int64_t units = i < panels_ ? panel_ : 0;
    take(w.a[i], samples_ * units, code);
    take(w.da[i], both ? samples_ * units : 0);
    take(w.own[i], both ? product_.n * units : 0);
  }
  take(w.m, panel_ * slab);
  w.g = w.m;
  if (product_.codes != DType::kF32 && gradient) take(w.g, panel_ * slab, code);
  w.products = at(base, static_cast<std::int64_t>(offset), 1);
  return offset + workspace_part(gemm_bytes_);
}

std::vector<std::int64_t> TileSlabs::by_samples(std::int64_t stride) const {
  std::vector<std::int64_t> counts;
  for (const std::int64_t n : shard_) counts.push_back(n * stride);
  return counts;
}

Tensor TileSlabs::block(const void* data, std::int64_t count,
                        DType dtype) const {
  return {const_cast<void*>(data), Shape{count}, dtype};
}

void TileSlabs::exchange_columns(bool split, std::byte* rows,
                                 std::int64_t row_stride, std::byte* blocks,
                                 std::size_t element, void* stream) const {
  for (std::size_t r = 0; r < shard_.size(); ++r) {
    const auto size = static_cast<std::int64_t>(element);
    const Pitched in_rows{at(rows, slab_[r], element), row_stride * size};
    const Pitched in_block{blocks, padded(columns(r)) * size};
    copy_rows(split ? in_block : in_rows, split ? in_rows : in_block,
              columns(r) * size, product_.n, stream);
    blocks = at(blocks, sent_[r], element);
  }
}

void TileSlabs::run(const void* a, const void* b, const TileRule& rule,
                    float* da, float* db, double* sums, void* workspace,
                    void* stream) const {
  Workspace w;
  carve(workspace, w);
  dist::Communicator& comm = *communicator_;
  const DType type = product_.codes;
  const std::size_t code = size_of(type);
  const auto code_bytes = static_cast<std::int64_t>(code);
  constexpr std::int64_t kFloat = sizeof(float);
  const std::int64_t n = product_.n, units = product_.units;
  const std::int64_t slab = columns(rank_), slab_stride = padded(slab);
  const std::int64_t exchanged =
      std::accumulate(sent_.begin(), sent_.end(), std::int64_t{0});
  const bool gradient = gradients_ != Gradients::kNone;
  const bool both = gradients_ == Gradients::kBoth;
  const float unscale = product_.unscale;

  const auto gather = [&](std::int64_t p) {
    const std::int64_t stride = padded(width(p));
    std::byte* const own = at(w.a[p % 2], first_ * stride, code);
    copy_rows({own, stride * code_bytes},
              {at(a, begin(p), code), product_.stride * code_bytes},
              width(p) * code_bytes, n, stream);
    return comm.start(
        Collective::all_gather(block(own, n * stride, type),
                               block(w.a[p % 2], samples_ * stride, type),
                               by_samples(stride)),
        stream);
  };
  const auto reduce = [&](std::int64_t p) {
    const std::int64_t stride = padded(width(p));
    return comm.start(
        Collective::reduce_scatter(
            block(w.da[p % 2], samples_ * stride, DType::kF32),
            block(w.own[p % 2], n * stride, DType::kF32), by_samples(stride)),
        stream);
  };
  const auto deliver = [&](std::int64_t p, Ticket reduced) {
    comm.wait(reduced, stream);
    copy_rows({da + begin(p), units * kFloat},
              {w.own[p % 2], padded(width(p)) * kFloat}, width(p) * kFloat, n,
              stream);
  };

  exchange_columns(true, at(b, 0, code), product_.stride,
                   static_cast<std::byte*>(w.blocks), code, stream);
  const Ticket sent =
      comm.start(Collective::all_to_all(
                     block(w.blocks, exchanged, type), sent_,
                     block(w.b, samples_ * slab_stride, type), received_),
                 stream);
  Ticket gathered = gather(0), reduced;
  comm.wait(sent, stream);

  for (std::int64_t p = 0; p < panels_; ++p) {
    const Ticket next = p + 1 < panels_ ? gather(p + 1) : Ticket{};
    comm.wait(gathered, stream);
    gathered = next;
    if (slab > 0) {
      const Products& by = products_.at(width(p));
      by.forward.run(w.a[p % 2], w.b, w.m, nullptr, product_.scale, 0,
                     w.products, stream);
      rule.apply({begin(p), width(p), slab_[rank_], slab}, w.m, slab_stride,
                 gradient ? w.g : nullptr, slab_stride, type, sums, stream);
      sums += tile_parts(width(p));
      if (gradient)
        by.second.run(w.a[p % 2], w.g, w.db, nullptr, unscale, p == 0 ? 0 : 1,
                      w.products, stream);
      if (both)
        by.first.run(w.b, w.g, w.da[p % 2], nullptr, unscale, 0, w.products,
                     stream);
    } else if (both) {
      set(w.da[p % 2], 0,
          static_cast<std::size_t>(samples_ * padded(width(p)) * kFloat),
          stream);
    }
    if (!both) continue;
    const Ticket previous = reduced;
    reduced = reduce(p);
    if (p > 0) deliver(p - 1, previous);
  }
  if (both) deliver(panels_ - 1, reduced);
  if (!gradient) return;
  comm.run(Collective::all_to_all(
               block(w.db, samples_ * slab_stride, DType::kF32), received_,
               block(w.blocks, exchanged, DType::kF32), sent_),
           stream);
  exchange_columns(false, reinterpret_cast<std::byte*>(db), units,
                   static_cast<std::byte*>(w.blocks), sizeof(float), stream);
}

}  // namespace music::cuda
