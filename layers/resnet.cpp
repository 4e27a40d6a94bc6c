#include "layers/resnet.h"

#include "engine/ops/avg_pool.h"
#include "engine/ops/global_avg_pool.h"
#include "engine/ops/max_pool.h"

namespace music {
namespace {

std::vector<int> blocks_of(int depth) {
  switch (depth) {
    case 18: return {2, 2, 2, 2};
    case 34:
    case 50: return {3, 4, 6, 3};
    case 101: return {3, 4, 23, 3};
  }
  throw error(ExitCode::kUsage,
              "[resnet] depth {}, expected 18, 34, 50 or 101", depth);
}

}  // namespace

ResNet::ResNet(Parameters& parameters, const std::string& prefix,
               const ResNetSpec& spec)
    : spec_(spec) {
  const std::vector<int> counts = blocks_of(spec.depth);
  if (spec.width < 1 || spec.width > ResNetSpec::kMostWidth)
    throw error(ExitCode::kUsage, "[resnet] width {}, expected 1 to {}",
                spec.width, ResNetSpec::kMostWidth);
  const bool bottleneck = spec.depth >= 50;
  const bool cifar = spec.stem == Stem::kCifar;
  stem_.emplace_back(
      parameters, join_name(prefix, "conv1"), join_name(prefix, "bn1"),
      ConvBn::Spec{3, spec.width, cifar ? 3 : 7, cifar ? 1 : 2, spec.init});
  std::int64_t in = spec.width;
  for (int layer = 0; layer < 4; ++layer) {
    const std::int64_t planes = std::int64_t{spec.width} << layer;
    for (int b = 0; b < counts[static_cast<std::size_t>(layer)]; ++b) {
      blocks_.emplace_back(
          parameters,
          join_name(prefix, fmt::format("layer{}.{}", layer + 1, b)),
          ResidualBlock::Spec{bottleneck, in, planes,
                              b == 0 && layer > 0 ? 2 : 1, spec.init,
                              spec.zero_init_residual});
      in = ResidualBlock::out_channels(bottleneck, planes);
    }
  }
}

Value ResNet::forward(Graph& graph, Value x, ForwardMode mode) const {
  return global_avg_pool(graph, map(graph, x, mode));
}

Value ResNet::res5(Graph& graph, Value map) {
  const Shape s = graph.shape(map);
  return avg_pool(graph, map,
                  s[1] == 7 && s[2] == 7 ? AvgPoolSpec::windows(s, 6, 1)
                                         : AvgPoolSpec::two(s));
}

Value ResNet::map(Graph& graph, Value x, ForwardMode mode) const {
  Value y = stem_[0].forward(graph, x, mode, true);
  if (spec_.stem == Stem::kImageNet) y = max_pool(graph, y, {3, 2, 1});
  for (const auto& block : blocks_) y = block.forward(graph, y, mode);
  return y;
}

}  // namespace music
