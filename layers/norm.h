#pragma once
// Batch normalisation with its parameters and running statistics.

#include <string>

#include "layers/module.h"

namespace music {

class BatchNorm {
 public:
  // Registers name.weight (gamma), name.bias, name.running_mean/_var [channels].
  BatchNorm(Parameters& parameters, const std::string& name,
            std::int64_t channels, double gamma = 1);

  // y = [relu](norm(x) [+ residual]); residual may be invalid.
  Value forward(Graph& graph, Value x, ForwardMode mode, bool relu,
                Value residual = {}) const;

 private:
  int weight_, bias_, mean_, var_;
};

}  // namespace music
