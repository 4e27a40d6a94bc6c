#include "layers/blocks.h"

namespace music {

ResidualBlock::ResidualBlock(Parameters& parameters, const std::string& name,
                             const Spec& spec) {
  const std::int64_t out = out_channels(spec.bottleneck, spec.planes);
  struct Conv { std::int64_t in, out; int kernel, stride; };
  const std::vector<Conv> convs =
      spec.bottleneck
          ? std::vector<Conv>{{spec.in, spec.planes, 1, 1},
                              {spec.planes, spec.planes, 3, spec.stride},
                              {spec.planes, out, 1, 1}}
          : std::vector<Conv>{{spec.in, spec.planes, 3, spec.stride},
                              {spec.planes, out, 3, 1}};
  for (std::size_t i = 0; i < convs.size(); ++i) {
    const bool last = i + 1 == convs.size();
    const Conv& c = convs[i];
    branch_.emplace_back(
        parameters, fmt::format("{}.conv{}", name, i + 1),
        fmt::format("{}.bn{}", name, i + 1),
        ConvBn::Spec{c.in, c.out, c.kernel, c.stride, spec.init,
                     last && spec.zero_init_residual ? 0.0 : 1.0});
  }
  if (spec.stride != 1 || spec.in != out)
    downsample_.emplace(parameters, name + ".downsample.0",
                        name + ".downsample.1",
                        ConvBn::Spec{spec.in, out, 1, spec.stride, spec.init});
}

Value ResidualBlock::forward(Graph& graph, Value x, ForwardMode mode) const {
  const Value shortcut =
      downsample_ ? downsample_->forward(graph, x, mode, false) : x;
  Value y = x;
  for (std::size_t i = 0; i + 1 < branch_.size(); ++i)
    y = branch_[i].forward(graph, y, mode, true);
  return branch_.back().forward(graph, y, mode, true, shortcut);
}

}  // namespace music
