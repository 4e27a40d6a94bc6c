#pragma once
// What the frozen network and its head say of the two views that training makes of each
// image: training's augmentations, batch norm in evaluation mode.

#include <cstdint>
#include <functional>
#include <span>

#include "music/eval/features.h"

namespace music {

struct ViewPairSpec {
  data::AugmentSpec augment;
  data::PixelStats pixels;
  std::uint64_t seed = 0;    // of the views, with epoch, as in training
  std::int64_t epoch = 0;
  std::int64_t batch = 256;  // images, of two views each
  int workers = 1;
};

// Consecutive rows, valid during the call that gets them.
struct ViewPairRows {
  std::int64_t n = 0, width = 0;
  const float* views[2] = {};             // [n, width] each
  std::span<const std::int64_t> samples;  // n numbers in the data set
  const std::uint8_t* pixels[2] = {};     // [n, size, size, 3] each
};
using ViewPairSink = std::function<void(const ViewPairRows&)>;

// Hands the embeddings of both views of every image to the sink, batch by batch in
// the order of that epoch of training, the same for any batch: memory does not
// depend on the number of images. In the place of an image that cannot be read
// another one stands, as in training. Throws what the loader and the sink throw.
FeatureSummary stream_view_pairs(Model& model, const data::Dataset& dataset,
                                 const ViewPairSpec& spec,
                                 const ViewPairSink& sink);

}  // namespace music
