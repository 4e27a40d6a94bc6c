#pragma once
// Frozen features of a labelled data set: pooled encoder output in evaluation
// mode (running statistics), one deterministic view an image.

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "data/loader.h"
#include "music/config/config.h"
#include "music/model/model.h"

namespace music {

struct FeatureSpec {
  data::EvalSpec eval;
  data::PixelStats pixels;
  std::int64_t batch = 256;
  int workers = 1;
};

// How an encoder trained on size x size crops sees a test image: photographs
// are resized to 8/7 of the size and centre-cropped (256 -> 224); small images
// (up to 64 pixels) are taken at their own size.
data::EvalSpec eval_spec_for(int size);
// The same where the configuration does not say otherwise.
data::EvalSpec eval_spec_of(const Config& config);

struct Features {
  std::int64_t count = 0, width = 0;
  std::vector<float> values;  // [count, width]
  std::vector<int> labels;    // [count]
  std::int64_t bad_images = 0;  // left out
};

// Throws what the loader throws.
Features extract_features(Model& model, const data::Dataset& dataset,
                          const FeatureSpec& spec);

}  // namespace music
