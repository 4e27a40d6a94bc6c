#pragma once
// COCO's files of one image, made by hand, and their scores.

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/core/error.h"
#include "music/eval/coco/summary.h"
#include "tests/support/scratch.h"

namespace music::test {

using Json = nlohmann::json;

// Ground truth and results as files.
struct CocoFiles {
  Scratch scratch;
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(scratch.path / name) << text;
  }
  coco::Evaluation score(coco::IouType type = coco::IouType::kBox, bool compatible = false) const {
    const auto truth = coco::load_ground_truth(scratch.path / "gt.json", type);
    const auto results =
        coco::load_results(scratch.path / "r.json", truth, {type, compatible});
    return coco::evaluate(truth, results, type, compatible);
  }
  // "" or what it said, without folders.
  std::string said(coco::IouType type = coco::IouType::kBox) const {
    try {
      score(type);
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kData);
      std::string text = e.what();
      const std::string folder = scratch.path.string() + "/";
      if (const auto at = text.find(folder); at != text.npos)
        text.erase(at, folder.size());
      return text;
    }
    return "";
  }
};

inline Json annotation(int id, Json box, double area, int crowd = 0) {
  return {{"id", id}, {"image_id", 1}, {"category_id", 5}, {"bbox", box},
          {"area", area}, {"iscrowd", crowd}};
}
inline Json truth_of(Json annotations) {
  return {{"images", {{{"id", 1}, {"height", 100}, {"width", 120}}}},
          {"categories", {{{"id", 5}, {"name", "thing"}}}},
          {"annotations", annotations}};
}
inline Json found(Json box, double score) {
  return {{"image_id", 1}, {"category_id", 5}, {"bbox", box}, {"score", score}};
}

}  // namespace music::test
