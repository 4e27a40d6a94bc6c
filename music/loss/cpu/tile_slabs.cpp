#include "music/loss/cpu/tile_slabs.h"

#include <algorithm>

#include "engine/core/buffer.h"
#include "engine/core/shard.h"

namespace music::cpu {
namespace {

using dist::Collective;
using dist::Ticket;

// Of a panel [N, units] of A.
constexpr std::int64_t kPanelBytes = 4 << 20;
constexpr std::int64_t kLeastUnits = 384;

Tensor floats(const float* data, std::int64_t count) {
  return {const_cast<float*>(data), Shape{count}, DType::kF32};
}

// rows x units, between matrices of different strides.
void copy(const float* from, std::int64_t from_stride, float* to,
          std::int64_t to_stride, std::int64_t rows, std::int64_t units) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < rows; ++i)
    std::copy_n(from + i * from_stride, units, to + i * to_stride);
}

}  // namespace

std::int64_t panel_units(std::int64_t samples, std::int64_t units) {
  const std::int64_t fit =
      kPanelBytes / static_cast<std::int64_t>(sizeof(float)) / samples;
  return std::min(units, std::max(kLeastUnits, fit / 16 * 16));
}

struct TileSlabs::Workspace {
  float* b;             // [N, slab]; at the end dB by blocks
  float* db;            // [N, slab]
  float* a[2];          // [N, panel]
  float* da[2];         // [N, panel]
  float* own[2];        // [n, panel], dA of this rank's samples
  void* panel;
};

TileSlabs::TileSlabs(dist::Communicator& communicator, std::int64_t samples,
                     float scale, std::vector<std::int64_t> slabs, int threads,
                     Gradients gradients)
    : communicator_(&communicator),
      samples_(samples),
      units_(slabs.back()),
      mine_(shard_size(samples, communicator.rank(), communicator.size())),
      first_(0),
      gradients_(gradients),
      panel_(samples, scale, units_, threads),
      panel_units_(panel_units(samples, units_)),
      panels_((units_ + panel_units_ - 1) / panel_units_),
      slab_(std::move(slabs)) {
  const int rank = communicator.rank();
  const auto columns = [&](int r) {
    return slab_[static_cast<std::size_t>(r) + 1] -
           slab_[static_cast<std::size_t>(r)];
  };
  for (int r = 0; r < communicator.size(); ++r) {
    shard_.push_back(shard_size(samples, r, communicator.size()));
    if (r < rank) first_ += shard_.back();
    sent_.push_back(mine_ * columns(r));
    received_.push_back(shard_.back() * columns(rank));
  }
  Workspace none;
  workspace_bytes_ = carve(nullptr, none);
}

std::size_t TileSlabs::carve(void* base, Workspace& w) const {
  std::size_t offset = 0;
  const auto take = [&](std::int64_t count) {
    void* p = static_cast<std::byte*>(base) + offset;
    offset += aligned(static_cast<std::size_t>(count) * sizeof(float));
    return static_cast<float*>(p);
  };
  const auto rank = static_cast<std::size_t>(communicator_->rank());
  const std::int64_t slab = samples_ * (slab_[rank + 1] - slab_[rank]);
  const bool both = gradients_ == Gradients::kBoth;
  w.b = take(std::max(slab, mine_ * units_));
  w.db = take(gradients_ == Gradients::kNone ? 0 : slab);
  for (int i = 0; i < 2; ++i) {
    const std::int64_t units = i < panels_ ? panel_units_ : 0;
    w.a[i] = take(samples_ * units);
    w.da[i] = take(both ? samples_ * units : 0);
    w.own[i] = take(both ? mine_ * units : 0);
  }
  w.panel = static_cast<std::byte*>(base) + offset;
  return offset + panel_.workspace_bytes();
}

void TileSlabs::split_columns(const float* rows, float* blocks) const {
  for (std::size_t s = 0; s + 1 < slab_.size(); ++s) {
    const std::int64_t units = slab_[s + 1] - slab_[s];
    copy(rows + slab_[s], units_, blocks, units, mine_, units);
    blocks += mine_ * units;
  }
}

void TileSlabs::join_columns(const float* blocks, float* rows) const {
  for (std::size_t s = 0; s + 1 < slab_.size(); ++s) {
    const std::int64_t units = slab_[s + 1] - slab_[s];
    copy(blocks, units, rows + slab_[s], units_, mine_, units);
    blocks += mine_ * units;
  }
}

double TileSlabs::run(const float* a, const float* b, const TileRule& rule,
                      float* da, float* db, void* workspace) const {
  Workspace w;
  carve(workspace, w);
  dist::Communicator& comm = *communicator_;
  const auto rank = static_cast<std::size_t>(comm.rank());
  const std::int64_t columns = slab_[rank + 1] - slab_[rank];
  const std::int64_t all = mine_ * units_, slab = samples_ * columns;
  const bool gradient = gradients_ != Gradients::kNone;
  const bool both = gradients_ == Gradients::kBoth;

  const auto begin = [&](std::int64_t p) { return p * panel_units_; };
  const auto width = [&](std::int64_t p) {
    return std::min(panel_units_, units_ - begin(p));
  };
  const auto counts = [&](std::int64_t p) {
    std::vector<std::int64_t> c;
    for (std::int64_t n : shard_) c.push_back(n * width(p));
    return c;
  };
  const auto gather = [&](std::int64_t p) {
    float* panel = w.a[p % 2];
    float* own = panel + first_ * width(p);
    copy(a + begin(p), units_, own, width(p), mine_, width(p));
    return comm.start(Collective::all_gather(
        floats(own, mine_ * width(p)), floats(panel, samples_ * width(p)),
        counts(p)));
  };
  const auto reduce = [&](std::int64_t p) {
    return comm.start(Collective::reduce_scatter(
        floats(w.da[p % 2], samples_ * width(p)),
        floats(w.own[p % 2], mine_ * width(p)), counts(p)));
  };
  const auto deliver = [&](std::int64_t p, Ticket reduced) {
    comm.wait(reduced);
    copy(w.own[p % 2], width(p), da + begin(p), units_, mine_, width(p));
  };

  // db is free until the end: B is sorted by owner there.
  split_columns(b, db);
  const Ticket exchanged = comm.start(Collective::all_to_all(
      floats(db, all), sent_, floats(w.b, slab), received_));
  Ticket gathered = gather(0), reduced;
  if (gradient) std::fill_n(w.db, slab, 0.0f);
  comm.wait(exchanged);

  double sum = 0;
  for (std::int64_t p = 0; p < panels_; ++p) {
    const Ticket next = p + 1 < panels_ ? gather(p + 1) : Ticket{};
    if (both) std::fill_n(w.da[p % 2], samples_ * width(p), 0.0f);
    comm.wait(gathered);
    gathered = next;
    if (columns > 0)
      sum += panel_.run({begin(p), width(p), slab_[rank], columns, w.a[p % 2],
                         w.b, both ? w.da[p % 2] : nullptr,
                         gradient ? w.db : nullptr, width(p), columns},
                        rule, w.panel);
    if (!both) continue;
    const Ticket previous = reduced;
    reduced = reduce(p);
    if (p > 0) deliver(p - 1, previous);
  }
  if (both) deliver(panels_ - 1, reduced);
  if (!gradient) return sum;
  comm.run(Collective::all_to_all(floats(w.db, slab), received_,
                                  floats(w.b, all), sent_));
  join_columns(w.b, db);
  return sum;
}

}  // namespace music::cpu
