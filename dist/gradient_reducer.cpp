#include "dist/gradient_reducer.h"

#include <algorithm>

namespace music::dist {
namespace {

constexpr std::int64_t kAlign = Buffer::kAlignment / sizeof(float);

std::int64_t elements(std::size_t bytes) {
  const auto n = static_cast<std::int64_t>(bytes / sizeof(float));
  return std::max(kAlign, n / kAlign * kAlign);
}

}  // namespace

GradientReducer::GradientReducer(Communicator& communicator,
                                 const Parameters& parameters,
                                 const Spec& spec)
    : communicator_(communicator), parameters_(parameters) {
  const std::int64_t size = elements(spec.bucket_bytes);
  const std::int64_t last = elements(spec.last_bytes);
  std::int64_t end = parameters.flat_elements();
  for (; end > last; end = buckets_.back().begin)
    buckets_.push_back({std::max(last, end - size), end});
  if (end > 0) buckets_.push_back({0, end});
}

GradientReducer::Schedule GradientReducer::schedule(const Graph& graph) const {
  // The node that completes each bucket: the last to write one of its parts.
  constexpr std::size_t kNever = ~std::size_t{0};  // all of it is frozen
  std::vector<std::size_t> complete(buckets_.size(), kNever);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n)
    for (const Value v : graph.nodes()[n].outputs) {
      const ValueInfo& info = graph.info(v);
      if (info.storage != Storage::kGradient) continue;
      const std::int64_t begin =
          parameters_.table()[static_cast<std::size_t>(info.slot)].offset;
      const std::int64_t end = begin + info.shape.elements();
      for (std::size_t b = 0; b < buckets_.size(); ++b)
        if (begin < buckets_[b].end && end > buckets_[b].begin) complete[b] = n;
    }
  Schedule s;
  s.after_.resize(graph.nodes().size());
  for (std::size_t b = 0; b < buckets_.size(); ++b)
    if (complete[b] != kNever) s.after_[complete[b]].push_back(b);
  return s;
}

void GradientReducer::start(const Bucket& bucket, void* stream) {
  const Tensor range{parameters_.flat_gradients() + bucket.begin,
                     Shape{bucket.end - bucket.begin}, DType::kF32};
  started_.push_back(
      communicator_.start(Collective::all_reduce(range, range), stream));
}

void GradientReducer::after_node(const Schedule& schedule, std::size_t node,
                                 void* stream) {
  for (const std::size_t b : schedule.after_[node]) start(buckets_[b], stream);
  if (!started_.empty()) communicator_.poll();
}

void GradientReducer::start_all(void* stream) {
  for (const Bucket& bucket : buckets_) start(bucket, stream);
}

void GradientReducer::finish(void* stream) {
  for (const Ticket ticket : started_) communicator_.wait(ticket, stream);
  started_.clear();
}

}  // namespace music::dist
