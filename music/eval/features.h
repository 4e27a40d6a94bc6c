#pragma once
// Frozen features of a data set: what the network says of one deterministic view
// an image, in evaluation mode (running statistics).

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "data/loader.h"
#include "music/config/config.h"
#include "music/eval/left_out.h"
#include "music/model/model.h"

namespace music {

struct FeatureSpec {
  data::EvalSpec eval;
  data::PixelStats pixels;
  std::int64_t batch = 256;
  int workers = 1;
  FeatureKind kind = FeatureKind::kPooled;
  int rank = 0, world = 1;  // one of `world` consecutive parts, nearly equal
};

// How an encoder trained on size x size crops sees a test image: photographs
// are resized to 8/7 of the size and centre-cropped (256 -> 224); small images
// (up to 64 pixels) are taken at their own size.
data::EvalSpec eval_spec_for(int size);
// The same where the configuration does not say otherwise.
data::EvalSpec eval_spec_of(const Config& config);

// Numbers of a feature: C pooled, 4 C res5, the head's units of an embedding.
std::int64_t feature_width(const Model& model, FeatureKind kind);

// Consecutive rows, valid during the call that gets them.
struct FeatureRows {
  std::int64_t n = 0, width = 0;
  const float* values = nullptr;  // [n, width]; res5 is ordered C, H, W
  std::span<const std::int64_t> samples;  // n numbers in the data set, ascending
  std::span<const int> labels;            // n; -1: none
  const std::uint8_t* pixels = nullptr;   // [n, size, size, 3]: what was seen
};
using FeatureSink = std::function<void(const FeatureRows&)>;

struct FeatureSummary {
  std::int64_t count = 0, width = 0;  // rows that the sink got
  std::vector<data::BadSample> bad;   // images left out
};

// Hands the features of every readable image of the part to the sink, batch by
// batch, in order: memory does not depend on the number of images. Throws what
// the loader and the sink throw.
FeatureSummary stream_features(Model& model, const data::Dataset& dataset,
                               const FeatureSpec& spec, const FeatureSink& sink);

struct Features {
  std::int64_t count = 0, width = 0;
  std::vector<float> values;  // [count, width]
  std::vector<int> labels;    // [count]
  LeftOut left_out;
};

// The same into memory.
Features extract_features(Model& model, const data::Dataset& dataset,
                          const FeatureSpec& spec);

}  // namespace music
