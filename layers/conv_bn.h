#pragma once
// Convolution without bias, followed by batch normalisation: the unit ResNets
// are made of.

#include <string>

#include "engine/ops/conv2d.h"
#include "layers/norm.h"
#include "layers/resnet_spec.h"

namespace music {

class ConvBn {
 public:
  struct Spec {
    std::int64_t in, out;
    int kernel, stride;  // padding = kernel / 2
    InitScheme init = InitScheme::kKaimingFanOut;
    double gamma = 1;    // initial batch-norm weight
  };

  // conv_name.weight [out,k,k,in] and the batch-norm under bn_name.
  ConvBn(Parameters& parameters, const std::string& conv_name,
         const std::string& bn_name, const Spec& spec);

  Value forward(Graph& graph, Value x, ForwardMode mode, bool relu,
                Value residual = {}) const;

 private:
  int weight_;
  Conv2dSpec spec_;
  std::string name_;
  BatchNorm norm_;
};

}  // namespace music
