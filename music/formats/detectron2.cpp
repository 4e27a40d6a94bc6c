#include "music/formats/detectron2.h"

#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

// Replaces `from` by `to` once.
void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const std::size_t at = text.find(from); at != text.npos)
    text.replace(at, from.size(), to);
}

// A string of JSON is one of YAML, whatever is in it.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string in_bytes(const std::array<float, 3>& v) {
  return fmt::format("[{:.6g}, {:.6g}, {:.6g}]", 255 * v[0], 255 * v[1],
                     255 * v[2]);
}

}  // namespace

std::string detectron2_name(const std::string& name) {
  const bool layer = name.starts_with("layer");
  if (name.ends_with("num_batches_tracked") ||
      (!layer && !name.starts_with("conv1.") && !name.starts_with("bn1.")))
    return "";
  std::string out = layer ? name : "stem." + name;
  for (const auto& [from, to] : {std::pair{"layer4.", "res5."},
                                 {"layer3.", "res4."},
                                 {"layer2.", "res3."},
                                 {"layer1.", "res2."},
                                 {"bn1.", "conv1.norm."},
                                 {"bn2.", "conv2.norm."},
                                 {"bn3.", "conv3.norm."},
                                 {"downsample.0.", "shortcut."},
                                 {"downsample.1.", "shortcut.norm."}})
    replace(out, from, to);
  return out;
}

DictLayout detectron2_layout() {
  return {"model", {{"__author__", std::string("music")},
                    {"matching_heuristics", true}}};
}

void require_detectron2(const ResNetSpec& e) {
  if (e.stem == Stem::kCifar || e.depth < 50)
    throw error(ExitCode::kUsage,
                "[export] found a ResNet-{} with the {} stem, expected ResNet-50 or "
                "101 with the ImageNet stem: detectron2's C4 model has no other",
                e.depth, e.stem == Stem::kCifar ? "CIFAR" : "ImageNet");
}

// Schedules are written once a key: vissl's file repeats them, and a YAML
// reader keeps the last, which is the 2x one.
std::string detectron2_yaml(const ResNetSpec& e, const data::PixelStats& pixels,
                            DetectionRecipe recipe,
                            const std::filesystem::path& weights,
                            const std::filesystem::path& yaml) {
  const bool vissl = recipe == DetectionRecipe::kVissl1x;
  std::string out = fmt::format(
      "# Mask R-CNN, C4, on COCO train2017, 1x (90,000 steps of 16 images), for\n"
      "# detectron2; {}.\n"
      "#   {} --num-gpus 8 --config-file {}\n",
      vissl ? "vissl's sBNExtraNorm_precBN at rate 0.1, as MUSIC's paper has it"
            : "detectron2's own mask_rcnn_R_50_C4_1x with torchvision's pixels",
      vissl ? "python detection/train_net.py" : "python tools/train_net.py",
      one_line(yaml.string()));
  out += vissl
      ? "# train_net.py is that of facebookresearch/moco (folder detection), which\n"
        "# registers Res5ROIHeadsExtraNorm. The ? in WEIGHTS asks detectron2 to\n"
        "# match names without a prefix; its log must name as not loaded only the\n"
        "# RPN, the heads and the extra norm.\n"
      : "# The ? in WEIGHTS asks detectron2 to match names without a prefix; its\n"
        "# log must name as not loaded only the RPN and the heads.\n";
  const bool query = weights.extension() != ".pkl";
  out += fmt::format(
      "MODEL:\n"
      "  META_ARCHITECTURE: \"GeneralizedRCNN\"\n"
      "  WEIGHTS: {}\n"
      "  MASK_ON: True\n"
      "  PIXEL_MEAN: {}\n"
      "  PIXEL_STD: {}\n",
      quoted(std::filesystem::absolute(weights).string() +
             (query ? "?matching_heuristics=True" : "")),
      in_bytes(pixels.mean), in_bytes(pixels.std));
  if (vissl) out += "  BACKBONE:\n    FREEZE_AT: 2\n";
  out += fmt::format("  RESNETS:\n    DEPTH: {}\n    STRIDE_IN_1X1: False\n",
                     e.depth);
  if (vissl) out += "    NORM: \"SyncBN\"\n";
  if (e.width != 64)
    out += fmt::format("    STEM_OUT_CHANNELS: {}\n    WIDTH_PER_GROUP: {}\n"
                       "    RES2_OUT_CHANNELS: {}\n", e.width, e.width,
                       4 * e.width);
  out += fmt::format(
      "  RPN:\n    PRE_NMS_TOPK_TEST: 6000\n    POST_NMS_TOPK_TEST: 1000\n"
      "  ROI_HEADS:\n    NAME: \"{}\"\n",
      vissl ? "Res5ROIHeadsExtraNorm" : "Res5ROIHeads");
  out += fmt::format(
      "DATASETS:\n  TRAIN: (\"coco_2017_train\",)\n  TEST: (\"coco_2017_val\",)\n"
      "INPUT:\n  FORMAT: \"RGB\"\n"
      "  MIN_SIZE_TRAIN: (640, 672, 704, 736, 768, 800)\n"
      "SOLVER:\n  IMS_PER_BATCH: 16\n  BASE_LR: {}\n  STEPS: (60000, 80000)\n"
      "  MAX_ITER: 90000\n", vissl ? "0.1" : "0.02");
  if (vissl)
    out += "  WARMUP_ITERS: 50\n"
           "TEST:\n  PRECISE_BN:\n    ENABLED: True\n    NUM_ITER: 200\n";
  return out + "VERSION: 2\n";
}

}  // namespace music
