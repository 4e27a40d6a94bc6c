#include "music/formats/detectron2.h"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "engine/core/error.h"
#include "tests/support/golden.h"

namespace {

using namespace music;

// detectron2's converter, rule by rule in its order (ecosystem of
// tools/convert-torchvision-to-d2.py): each replacement everywhere in the name.
std::string by_rule(std::string name) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = name.find(from, at)) != name.npos;
         at += to.size())
      name.replace(at, from.size(), to);
  };
  if (name.find("layer") == name.npos) name = "stem." + name;
  for (const char t : {'1', '2', '3', '4'})
    replace(std::string("layer") + t, std::string("res") + char(t + 1));
  for (const char t : {'1', '2', '3'})
    replace(std::string("bn") + t, std::string("conv") + t + ".norm");
  replace("downsample.0", "shortcut");
  replace("downsample.1", "shortcut.norm");
  return name;
}

std::vector<std::string> names_of(const std::string& wanted) {
  std::ifstream in(test::tests_folder() + "/golden/encoder_names.txt");
  std::vector<std::string> out;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('[')) inside = line == "[" + wanted + "]";
    else if (inside) out.push_back(line.substr(0, line.find(' ')));
  }
  REQUIRE(!out.empty());
  return out;
}

TEST_SUITE("detectron2") {
  TEST_CASE("every name is that of detectron2's converter") {
    for (const char* net : {"torchvision.resnet50", "torchvision.resnet101"}) {
      std::set<std::string> seen;
      std::size_t kept = 0;
      for (const std::string& name : names_of(net)) {
        CAPTURE(name);
        const std::string ours = detectron2_name(name);
        if (name.starts_with("fc.") || name.ends_with("num_batches_tracked")) {
          CHECK(ours.empty());
          continue;
        }
        ++kept;
        CHECK(ours == by_rule(name));
        CHECK(seen.insert(ours).second);
      }
      CHECK(kept == (std::string(net).ends_with("50") ? 265 : 520));
    }
  }

  TEST_CASE("some of them, as detectron2's models have them") {
    CHECK(detectron2_name("conv1.weight") == "stem.conv1.weight");
    CHECK(detectron2_name("bn1.running_var") == "stem.conv1.norm.running_var");
    CHECK(detectron2_name("layer1.0.conv3.weight") == "res2.0.conv3.weight");
    CHECK(detectron2_name("layer4.2.bn3.bias") == "res5.2.conv3.norm.bias");
    CHECK(detectron2_name("layer2.0.downsample.0.weight") ==
          "res3.0.shortcut.weight");
    CHECK(detectron2_name("layer2.0.downsample.1.weight") ==
          "res3.0.shortcut.norm.weight");
    CHECK(detectron2_name("projector.0.weight").empty());
  }

  TEST_CASE("the recipe: 1x, every key once in its block, RGB, stride in 3x3") {
    for (const auto recipe : {DetectionRecipe::kVissl1x, DetectionRecipe::kPlain1x}) {
      const std::string yaml = detectron2_yaml({.depth = 50}, {}, recipe,
                                               "/w/e.pth", "/w/e.yaml");
      std::set<std::string> keys;
      std::vector<std::string> path;
      std::istringstream in(yaml);
      for (std::string line; std::getline(in, line);) {
        if (line.starts_with('#')) continue;
        const std::size_t depth = line.find_first_not_of(' ') / 2;
        path.resize(depth);
        path.push_back(line.substr(2 * depth, line.find(':') - 2 * depth));
        std::string key;
        for (const auto& part : path) key += "/" + part;
        CAPTURE(key);
        CHECK(keys.insert(key).second);
      }
      const bool vissl = recipe == DetectionRecipe::kVissl1x;
      for (const std::string& part :
           {std::string("MAX_ITER: 90000"), std::string("STEPS: (60000, 80000)"),
            std::string("STRIDE_IN_1X1: False"), std::string("FORMAT: \"RGB\""),
            std::string("PIXEL_MEAN: [123.675, 116.28, 103.53]"),
            std::string("PIXEL_STD: [58.395, 57.12, 57.375]"),
            std::string("WEIGHTS: \"/w/e.pth?matching_heuristics=True\""),
            std::string(vissl ? "BASE_LR: 0.1\n" : "BASE_LR: 0.02\n"),
            std::string(vissl ? "Res5ROIHeadsExtraNorm" : "NAME: \"Res5ROIHeads\""),
            std::string("--config-file /w/e.yaml")}) {
        CAPTURE(part);
        CHECK(yaml.find(part) != yaml.npos);
      }
      CHECK((yaml.find("WARMUP_ITERS: 50") != yaml.npos) == vissl);
      CHECK((yaml.find("NUM_ITER: 200") != yaml.npos) == vissl);
    }
    const std::string narrow = detectron2_yaml(
        {.depth = 101, .width = 32}, {}, DetectionRecipe::kPlain1x, "a \"b\".pkl", "y");
    CHECK(narrow.find("RES2_OUT_CHANNELS: 128") != narrow.npos);
    CHECK(narrow.find("DEPTH: 101") != narrow.npos);
    CHECK(narrow.find(R"(a \"b\".pkl")") != narrow.npos);
    CHECK(narrow.find("heuristics=True") == narrow.npos);
  }

  TEST_CASE("encoders that its C4 model cannot hold") {
    CHECK_NOTHROW(require_detectron2({.depth = 50}));
    CHECK_THROWS_WITH_AS(
        require_detectron2({.depth = 18}),
        "[export] found a ResNet-18 with the ImageNet stem, expected ResNet-50 or 101 "
        "with the ImageNet stem: detectron2's C4 model has no other", Error);
    CHECK_THROWS_AS(require_detectron2({.depth = 50, .stem = Stem::kCifar}), Error);
  }
}

}  // namespace
