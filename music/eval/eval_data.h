#pragma once
// The labelled train and test images an evaluator works on.

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace music {

struct EvalData {
  // Labels of both are of train's classes, 0 to classes - 1.
  std::unique_ptr<data::Dataset> train, test;
  int classes = 0;
  int populated = 0;  // classes with training images: chance is one in these
  // What a reader of the score must know, one line each: classes without images,
  // or matched by number, or of nearly one name; copies. Logged as warnings too,
  // once a process.
  std::vector<std::string> notes;
};

// train and test may be one path that has both splits (CIFAR-10, a folder with
// train/ and val/), or a path each; a path with splits gives its part.
//
// Classes are matched by name; by number where one side has numbers only (a list,
// shards). A class may lack test images. Throws kData when a path cannot be
// opened, has no labels or one class only; for one path without splits, which
// would be scored on what it was trained on, and for test images that are
// training images (overlap.h); for a test class that train does not have or has
// no image of, with what tells its name from one that train has. flags: how the
// program is told of test images.
EvalData open_eval_data(const std::string& train, const std::string& test,
                        data::DatasetFormat format,
                        const std::string& flags = "separate --train and --test");

// The same checks of sets that are open; the paths are for messages.
EvalData match_eval_data(std::unique_ptr<data::Dataset> train,
                         const std::string& train_path,
                         std::unique_ptr<data::Dataset> test,
                         const std::string& test_path);

}  // namespace music
