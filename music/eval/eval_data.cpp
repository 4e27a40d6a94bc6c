#include "music/eval/eval_data.h"

#include <algorithm>

#include "engine/core/error.h"

namespace music {
namespace {

std::unique_ptr<data::Dataset> open_test(const std::string& path,
                                         data::DatasetFormat format) {
  try {
    return data::open_dataset(path, format, data::Split::kTest);
  } catch (const Error&) {
    // A path of test images alone has no splits; what is wrong otherwise is
    // said by this call.
    return data::open_dataset(path, format, data::Split::kTrain);
  }
}

int largest_label(const data::Dataset& d, const std::string& path) {
  int largest = -1;
  for (std::int64_t i = 0; i < d.size(); ++i) {
    const int label = d.label(i);
    if (label < 0)
      throw error(ExitCode::kData,
                  "[eval] {} in {} has no label: expected class sub-folders, a "
                  "list with labels, CIFAR or STL-10", d.name(i), path);
    largest = std::max(largest, label);
  }
  return largest;
}

}  // namespace

EvalData open_eval_data(const std::string& train, const std::string& test,
                        data::DatasetFormat format) {
  EvalData eval;
  eval.train = data::open_dataset(train, format, data::Split::kTrain);
  eval.test = open_test(test, format);
  eval.classes = 1 + std::max(largest_label(*eval.train, train),
                              largest_label(*eval.test, test));
  const auto &a = eval.train->classes(), &b = eval.test->classes();
  if (!a.empty() && !b.empty() && a != b)
    throw error(ExitCode::kData,
                "[eval] {} has {} classes ({}, ...), {} has {} ({}, ...): "
                "expected the same", train, a.size(), a.front(), test, b.size(),
                b.front());
  return eval;
}

}  // namespace music
