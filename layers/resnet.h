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
  // The map that they are the mean of: [N,h,w,features()].
  Value map(Graph& graph, Value x, ForwardMode mode) const;
  // A map cut into 2 x 2 windows, [N,2,2,features()]: the 8192 numbers of the
  // Places205 and VOC07 protocols, channels last. 7 x 7 places: windows of 6 x 6,
  // a place apart (theirs); any other size: two windows an axis that cover it.
  static Value res5(Graph& graph, Value map);
  const ResNetSpec& spec() const { return spec_; }

 private:
  ResNetSpec spec_;
  std::vector<ConvBn> stem_;  // one
  std::vector<ResidualBlock> blocks_;
};

}  // namespace music
