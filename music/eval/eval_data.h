#pragma once
// The labelled train and test images an evaluator works on.

#include <memory>
#include <string>

#include "data/dataset.h"

namespace music {

struct EvalData {
  std::unique_ptr<data::Dataset> train, test;
  int classes = 0;
};

// train and test may be one path that has both splits (CIFAR-10, a folder with
// train/ and val/), or a folder each. Throws kData when one cannot be opened,
// has no labels, or the classes of the two differ.
EvalData open_eval_data(const std::string& train, const std::string& test,
                        data::DatasetFormat format);

}  // namespace music
