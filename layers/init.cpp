#include "layers/init.h"

#include <cmath>

namespace music {

Init conv_init(const Shape& weight, InitScheme scheme) {
  const double window = static_cast<double>(weight[1] * weight[2]);
  const double fan_in = window * static_cast<double>(weight[3]);
  const double fan_out = window * static_cast<double>(weight[0]);
  return scheme == InitScheme::kKaimingFanOut
             ? Init::normal(std::sqrt(2 / fan_out))
             : Init::uniform(1 / std::sqrt(fan_in));
}

Init linear_init(std::int64_t fan_in) {
  return Init::uniform(1 / std::sqrt(static_cast<double>(fan_in)));
}

}  // namespace music
