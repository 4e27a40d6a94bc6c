#include "engine/graph/planner.h"

#include <algorithm>
#include <map>

#include "engine/core/buffer.h"

namespace music {
namespace {

// Values that share bytes through in-place outputs form one block.
struct Block {
  std::size_t bytes = 0;
  int last = 0;         // last node that touches it
  int taken_at = -1;    // node whose output took it over in place
};

// Best fit over free ranges, coalesced on release; the arena grows at its end.
class FreeList {
 public:
  std::size_t take(std::size_t bytes) {
    if (bytes == 0) return 0;
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->second >= bytes && (best == free_.end() || it->second < best->second))
        best = it;
    if (best != free_.end()) {
      const auto [offset, size] = *best;
      free_.erase(best);
      if (size > bytes) free_[offset + bytes] = size - bytes;
      return offset;
    }
    // Grow, starting inside a free range that touches the end.
    std::size_t offset = end_;
    if (!free_.empty()) {
      const auto last = std::prev(free_.end());
      if (last->first + last->second == end_) {
        offset = last->first;
        free_.erase(last);
      }
    }
    end_ = offset + bytes;
    return offset;
  }
  void release(std::size_t offset, std::size_t bytes) {
    if (bytes == 0) return;
    auto it = free_.emplace(offset, bytes).first;
    if (const auto next = std::next(it);
        next != free_.end() && it->first + it->second == next->first) {
      it->second += next->second;
      free_.erase(next);
    }
    if (it != free_.begin()) {
      const auto prev = std::prev(it);
      if (prev->first + prev->second == it->first) {
        prev->second += it->second;
        free_.erase(it);
      }
    }
  }
  std::size_t end() const { return end_; }

 private:
  std::map<std::size_t, std::size_t> free_;  // offset -> size
  std::size_t end_ = 0;
};

}  // namespace

Plan plan_memory(const Graph& graph, bool reuse) {
  const auto& values = graph.values();
  const auto& nodes = graph.nodes();
  const int end = static_cast<int>(nodes.size());
  Plan plan;
  plan.offset.assign(values.size(), 0);

  std::vector<int> last(values.size(), -1);
  for (int n = 0; n < end; ++n)
    for (const auto* list : {&nodes[static_cast<std::size_t>(n)].inputs,
                             &nodes[static_cast<std::size_t>(n)].outputs})
      for (Value v : *list) last[static_cast<std::size_t>(v.id)] = n;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i].keep) last[i] = end;

  const auto bytes_of = [&](Value v) {
    const ValueInfo& info = values[static_cast<std::size_t>(v.id)];
    return aligned(static_cast<std::size_t>(info.shape.elements()) *
                   size_of(info.dtype));
  };
  const auto planned = [&](Value v) {
    return values[static_cast<std::size_t>(v.id)].storage == Storage::kPlanned;
  };

  std::vector<int> block_of(values.size(), -1);
  std::vector<Block> blocks;
  std::vector<std::size_t> block_offset;
  std::vector<std::vector<int>> dies(static_cast<std::size_t>(end) + 1);
  FreeList arena;

  for (int n = 0; n < end; ++n) {
    const Node& node = nodes[static_cast<std::size_t>(n)];
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      const Value out = node.outputs[o];
      if (!planned(out)) continue;
      const std::size_t bytes = bytes_of(out);
      plan.bytes_without_reuse += bytes;
      int block = -1;
      const int i = node.in_place[o];
      if (reuse && i >= 0) {
        const Value in = node.inputs[static_cast<std::size_t>(i)];
        if (planned(in) && bytes_of(in) == bytes) {
          const int candidate = block_of[static_cast<std::size_t>(in.id)];
          Block& b = blocks[static_cast<std::size_t>(candidate)];
          if (b.last == n && b.taken_at != n) {
            block = candidate;
            b.taken_at = n;
          }
        }
      }
      if (block < 0) {
        block = static_cast<int>(blocks.size());
        blocks.push_back({bytes, n});
        block_offset.push_back(arena.take(bytes));
      }
      block_of[static_cast<std::size_t>(out.id)] = block;
      plan.offset[static_cast<std::size_t>(out.id)] =
          block_offset[static_cast<std::size_t>(block)];
      auto& b = blocks[static_cast<std::size_t>(block)];
      b.last = std::max(b.last, last[static_cast<std::size_t>(out.id)]);
      dies[static_cast<std::size_t>(b.last)].push_back(block);
    }
    if (!reuse) continue;
    auto& dead = dies[static_cast<std::size_t>(n)];
    std::sort(dead.begin(), dead.end());
    dead.erase(std::unique(dead.begin(), dead.end()), dead.end());
    for (int block : dead) {
      const Block& b = blocks[static_cast<std::size_t>(block)];
      if (b.last == n)
        arena.release(block_offset[static_cast<std::size_t>(block)], b.bytes);
    }
  }
  plan.bytes = arena.end();
  return plan;
}

}  // namespace music
