#pragma once
// The cached linear probe: a protocol of ours. Features of the training images
// are computed once, without augmentation, and a linear classifier on them is
// solved to its optimum (logistic.h), over a grid of weight decays. It takes
// seconds, has no learning rate, no schedule and no last epoch, and is not the
// protocol of a published number: augmentation is worth something there.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "music/eval/logistic.h"

namespace music {

struct CachedProbeSpec {
  // Tried in falling order, each from the last one's optimum; empty: the default
  // grid, twelve decays a factor of sqrt(10) apart, from 10 times the features' mean
  // variance over the classes down. The grid ends before the first one, but for the
  // largest, whose optimum is not reached.
  std::vector<double> decays;
  double held_out = 0.1;   // of each class's training images, to choose by
  std::uint64_t seed = 0;  // draws them
  double tolerance = 1e-5;  // LogisticSpec's
  int most_steps = 1000;    // of a decay that is tried; four times for the chosen
  // Said before each of the fits: how many are done, of how many.
  std::function<void(std::int64_t done, std::int64_t all)> progress;
};

struct HeadScore {
  double top1 = 0, top5 = 0;  // per cent
  double loss = 0;            // mean cross-entropy
};

struct CachedProbe {
  struct Tried {
    double decay = 0;
    HeadScore held_out;
    int steps = 0;
    double seconds = 0;
  };
  std::vector<Tried> tried;  // in falling order of the decay
  std::int64_t held_out = 0;  // images
  double decay = 0;           // chosen
  double inverse_decay = 0;   // scikit-learn's C of it, over all training images
  LogisticFit fit;            // of all training images
  HeadScore test;
  double seconds = 0;  // of it all, features not counted
  // What a reader of the score must know: a grid's end that was chosen, a fit
  // that did not converge.
  std::vector<std::string> notes;
};

// Every class keeps an image to learn from. The decay of the highest held-out
// top-1 is chosen, of equal ones the larger; then the head is solved anew on all
// training images. Throws kData for labels out of range, a class without training
// images, and too few images to hold any out; what LogisticProblem throws.
CachedProbe cached_probe(const Features& train, const Features& test,
                         int classes, const CachedProbeSpec& spec = {});

// A hit is as in top_hits.h: a label whose logit others equal gains nothing.
HeadScore score_head(const LinearHead& head, const Features& features);

}  // namespace music
