#pragma once
// ResNet encoders. Parameter names are torchvision's, in its order, without
// fc: conv1, bn1, layer1.0.conv1, ..., layer4.2.downsample.1.

#include <string>
#include <vector>

#include "layers/blocks.h"
#include "layers/resnet_spec.h"

namespace music {

class ResNet {
 public:
  ResNet(Parameters& parameters, const std::string& prefix,
         const ResNetSpec& spec);

  // x [N,H,W,3] normalised -> features [N, spec.features()], non-negative.
  Value forward(Graph& graph, Value x, ForwardMode mode) const;
  const ResNetSpec& spec() const { return spec_; }

 private:
  ResNetSpec spec_;
  std::vector<ConvBn> stem_;  // one
  std::vector<ResidualBlock> blocks_;
};

}  // namespace music
