#pragma once
// What two views of the images of a split have in common: their joint
// probabilities P (paper eq. 2) and how far their codes agree. Of P only the part
// that is asked for is made, in double: memory is 8 first^2 bytes (1.3 MB for
// 400), however many images there are, where the whole of 8160 units would be 533
// MB. The result is the same to the bit for batches of any size.

#include <cstdint>
#include <vector>

#include "music/loss/segments.h"

namespace music {

class ViewStatistics {
 public:
  // first: of the units, whose P is made; all of them where there are no more.
  ViewStatistics(const Segments& segments, double temperature,
                 std::int64_t first);

  // Embeddings of view 1 and 2 of n images, [n, units] each. Throws kData for a
  // number that is not finite.
  void add(const float* first_view, const float* second_view, std::int64_t n);

  std::int64_t images() const { return images_; }
  std::int64_t first() const { return first_; }
  // Of at least one image:
  // [first, first]: mean over the images of q(view 1) q(view 2)^T.
  std::vector<float> joint() const;
  // The chance that both views of an image draw the same unit, geometric mean
  // over images and segments: e^-TI, as training's health has it.
  double agreement() const;
  // Share of images and segments whose largest units are the same.
  double same_codes() const;

 private:
  Segments segments_;
  double temperature_;
  std::int64_t first_, images_ = 0, same_ = 0;
  double log_chances_ = 0;
  std::vector<double> joint_;  // sums
  std::vector<float> q_;       // of a batch, [2, n, units]
};

}  // namespace music
