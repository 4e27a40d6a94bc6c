#pragma once
// The two residual blocks (He et al. 2016; bottleneck v1.5: the stride sits in
// the 3x3 convolution, as torchvision).

#include <optional>
#include <string>
#include <vector>

#include "layers/conv_bn.h"

namespace music {

class ResidualBlock {
 public:
  struct Spec {
    bool bottleneck;
    std::int64_t in;       // input channels
    std::int64_t planes;   // width; output is planes, or 4 * planes
    int stride;
    InitScheme init;
    bool zero_init_residual;
  };
  ResidualBlock(Parameters& parameters, const std::string& name,
                const Spec& spec);

  Value forward(Graph& graph, Value x, ForwardMode mode) const;
  static std::int64_t out_channels(bool bottleneck, std::int64_t planes) {
    return bottleneck ? 4 * planes : planes;
  }

 private:
  std::vector<ConvBn> branch_;
  std::optional<ConvBn> downsample_;
};

}  // namespace music
