#pragma once
// Where in a file a ResNet's tensors are, whatever its maker's program put
// around their names, and which ResNet it is. Names and shapes alone; values
// are looked at by weight_checks.h.
//
// Names are torchvision's (timm's, VICReg's and solo-learn's are the same)
// behind any prefix, "module.backbone." or "state_dict.encoder_q."; or those
// of a network cut into a list, "backbone.4.0.conv1.weight" (lightly).

#include <map>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "layers/resnet_spec.h"

namespace music {

struct EncoderKeys {
  std::string prefix;
  // By torchvision's name: all that stands under the prefix.
  std::map<std::string, const TensorEntry*> tensors;
  std::vector<std::string> elsewhere;  // keys of the file outside of it
  std::vector<std::string> others;     // prefixes of encoders not taken

  const TensorEntry* find(const std::string& name) const {
    const auto at = tensors.find(name);
    return at == tensors.end() ? nullptr : at->second;
  }
};

// prefix: which encoder, where a file holds several; "" = the only one, or the
// trained one beside its moving average (encoder_q, not encoder_k) or what an
// optimiser keeps of it; "." = the one under no prefix. kData when there is none,
// or it is not clear which.
EncoderKeys find_encoder(const SafetensorsFile& file,
                         const std::string& file_name,
                         const std::string& prefix = "");

// Depth, width and stem. kData, naming what was found, for another network.
ResNetSpec spec_of(const EncoderKeys& keys, const std::string& file_name);

// "ResNet-50, ImageNet stem, width 64".
std::string describe(const ResNetSpec& spec);

}  // namespace music
