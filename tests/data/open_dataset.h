#pragma once
// Opening data sets in tests, and what refused ones say.

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "data/dataset.h"
#include "engine/core/error.h"

namespace music::data {

inline std::unique_ptr<Dataset> open(
    const std::string& path, Split split = Split::kTrain,
    DatasetFormat format = DatasetFormat::kAuto) {
  return open_dataset(path, format, split);
}

// The text of the error, which is a data error of one line.
inline std::string refusal(const std::string& path,
                           Split split = Split::kTrain,
                           DatasetFormat format = DatasetFormat::kAuto) {
  try {
    open(path, split, format);
  } catch (const Error& failure) {
    CHECK(failure.code() == ExitCode::kData);
    const std::string text = failure.what();
    CHECK(text.find('\n') == text.npos);
    return text;
  }
  return "no error";
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace music::data
