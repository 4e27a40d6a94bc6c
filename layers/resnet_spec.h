#pragma once
// What a ResNet encoder is. Names and defaults follow torchvision.

#include <array>

namespace music {

enum class Stem {
  kImageNet,  // 7x7 stride 2, 3x3 max-pool stride 2
  kCifar,     // 3x3 stride 1, no pool
};

enum class InitScheme {
  kKaimingFanOut,  // convs kaiming_normal(fan_out, relu)  (VICReg)
  kPyTorch,        // convs kaiming_uniform(a=sqrt 5): U(+-1/sqrt(fan_in))
};

struct ResNetSpec {
  static constexpr std::array kDepths{18, 34, 50, 101};
  static constexpr int kMostWidth = 1024;

  int depth = 50;          // one of kDepths
  int width = 64;          // channels of the stem; 64 is the standard net
  Stem stem = Stem::kImageNet;
  InitScheme init = InitScheme::kKaimingFanOut;
  bool zero_init_residual = true;  // gamma of each branch's last BN = 0

  // Channels of the pooled feature: 8 * width * (depth < 50 ? 1 : 4).
  int features() const { return 8 * width * (depth < 50 ? 1 : 4); }
};

}  // namespace music
