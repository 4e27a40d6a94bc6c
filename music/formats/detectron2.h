#pragma once
// An encoder as detectron2 takes it: its names, and the configuration that
// trains Mask R-CNN on COCO with it.

#include <filesystem>
#include <span>
#include <string>

#include "data/augment_spec.h"
#include "engine/io/pickle_file.h"
#include "layers/resnet_spec.h"

namespace music {

// detectron2's name of a torchvision one, as its convert-torchvision-to-d2.py
// has it: stem. before what is in no layer, layer1..4 are res2..5, bnK is
// convK.norm, downsample.0 and .1 are shortcut and shortcut.norm. "" for what
// it has no place for: counters and heads.
std::string detectron2_name(const std::string& name);

// {"model": tensors, "__author__": "music", "matching_heuristics": True}: what
// its checkpointer takes for a backbone without a prefix.
DictLayout detectron2_layout();

enum class DetectionRecipe {
  kVissl1x,  // extra norm behind res5, SyncBN, rate 0.1, precise BN
  kPlain1x,  // detectron2's own mask_rcnn_R_50_C4_1x: frozen BN, rate 0.02
};

// Throws kUsage for an encoder that its C4 model cannot hold: a CIFAR stem, or
// ResNet-18 and 34, whose blocks are not bottlenecks.
void require_detectron2(const ResNetSpec& encoder);

// The YAML file; weights: the path that it names. Pixels are RGB from 0 to 255,
// normalised as the encoder's were.
std::string detectron2_yaml(const ResNetSpec& encoder,
                            const data::PixelStats& pixels,
                            DetectionRecipe recipe,
                            const std::filesystem::path& weights,
                            const std::filesystem::path& yaml);

}  // namespace music
