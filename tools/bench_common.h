#pragma once
// What the benches share: the training step they are asked for, and figures.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "layers/projector.h"
#include "music/train/training_step.h"

namespace music {

struct BenchNetwork {
  int depth = 50, width = 64, size = 224;  // size: image side
  std::string stem = "imagenet", projector = "8192-8160";
  std::int64_t segment = 80;

  void add_to(CLI::App& app) {
    app.add_option("--depth", depth, "ResNet depth");
    app.add_option("--width", width, "ResNet stem width");
    app.add_option("--stem", stem, "imagenet or cifar")
        ->check(CLI::IsMember({"imagenet", "cifar"}));
    app.add_option("--size", size, "image side");
    app.add_option("--projector", projector, "output widths");
    app.add_option("--segment", segment, "units a segment");
  }
  ModelSpec model() const {
    ModelSpec m{{.depth = depth, .width = width,
                 .stem = stem == "cifar" ? Stem::kCifar : Stem::kImageNet},
                parse_projector(projector)};
    m.method.of<Music>().segment = segment;
    return m;
  }
  TrainingStepSpec step() const {
    TrainingStepSpec s;
    s.image_size = size;
    return s;
  }
};

// Of at least one value; of an even number, the upper one of the middle.
inline double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// The most that was resident in this process.
inline double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace music
