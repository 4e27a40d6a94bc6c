#pragma once
// Sums the gradients of all ranks while backward still runs.
//
// The flat gradient block is cut into ranges (buckets). A bucket is started as
// soon as the last gradient in it was written: the projector's, which lie last
// in the block and are ready first, go first. Every loss is normalised by the
// samples of all ranks, so the sum is the gradient of the whole batch: nothing
// is divided by the number of ranks.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "engine/graph/graph.h"

namespace music::dist {

struct GradientReducerSpec {
  std::size_t bucket_bytes = 25 << 20;
  // The first parameters' gradients come last and nothing hides them: their
  // bucket is small.
  std::size_t last_bytes = 1 << 20;
};

class GradientReducer {
 public:
  using Spec = GradientReducerSpec;
  // Elements [begin, end) of the flat block.
  struct Bucket { std::int64_t begin, end; };

  // Both must outlive the reducer.
  GradientReducer(Communicator& communicator, const Parameters& parameters,
                  const Spec& spec = {});

  // In the order of the block's end to its beginning.
  const std::vector<Bucket>& buckets() const { return buckets_; }

  // Which buckets are complete after which node of a graph with gradients. The
  // same on all ranks, as their graphs differ in batch size alone.
  class Schedule {
   public:
    // Numbers of the buckets that are complete after a node.
    const std::vector<std::size_t>& after(std::size_t node) const {
      return after_[node];
    }

   private:
    friend class GradientReducer;
    std::vector<std::vector<std::size_t>> after_;  // [node]
  };
  Schedule schedule(const Graph& graph) const;

  // After each node of the graph, in order: starts what is complete.
  void after_node(const Schedule& schedule, std::size_t node, void* stream);
  // In place of it, for gradients that are complete all at once: starts all.
  void start_all(void* stream);
  // Until the gradient block holds the sums.
  void finish(void* stream);

 private:
  void start(const Bucket& bucket, void* stream);

  Communicator& communicator_;
  const Parameters& parameters_;
  std::vector<Bucket> buckets_;
  std::vector<Ticket> started_;
};

}  // namespace music::dist
