#pragma once
// Batch normalisation with its parameters and running statistics.

#include <string>

#include "layers/module.h"

namespace music {

// What of gamma and beta is trained.
enum class Affine {
  kBoth,
  kNoBeta,  // beta is there, for files, and frozen at 0
  kNone,    // neither is there
};

class BatchNorm {
 public:
  // Registers name.weight (gamma), name.bias, name.running_mean/_var [channels].
  BatchNorm(Parameters& parameters, const std::string& name,
            std::int64_t channels, double gamma = 1,
            Affine affine = Affine::kBoth);

  // What evaluation reads, gamma and beta as constants where there are none.
  struct Values {
    Value gamma, beta, mean, var;
  };
  Values values(Graph& graph, std::int64_t channels, ForwardMode mode) const;

  // y = [relu](norm(x) [+ residual]); residual may be invalid.
  Value forward(Graph& graph, Value x, ForwardMode mode, bool relu,
                Value residual = {}) const;

 private:
  Value affine(Graph& graph, int parameter, double otherwise,
               std::int64_t channels, ForwardMode mode) const;

  int weight_ = -1, bias_ = -1;  // -1: there is none
  int mean_, var_;
};

}  // namespace music
