#pragma once
// music_plan's answer for several processes: the predicted step.

#include <string>

#include "music/config/config.h"
#include "music/plan/interconnect.h"
#include "tools/cli.h"

namespace music {

struct ScalingOptions {
  Layout layout;
  std::string processor, network, profile;
  double inside_us = -1, inside_gb = -1, between_us = -1, between_gb = -1;
  double images_per_s = 0;  // that the loaders of a node deliver; 0: enough

  void add_to(CLI::App& app);
  // After parsing: whether a step is to be predicted. Nothing said how fast a
  // process is: it is an H100.
  bool settle(const CLI::App& app);
};

// Text for people, or one JSON object. Throws kUsage for processes on a CPU
// without a profile.
std::string plan_scaling(const ScalingOptions& options, const Config& config,
                         const Compute& compute, bool json);

}  // namespace music
