#pragma once
// Projection and prediction heads: linear layers, each but the last followed by
// batch norm and ReLU. "8192-8160" is Linear(+bias) - BN - ReLU - Linear(no
// bias); each further number repeats Linear(+bias) - BN - ReLU (method of
// VICReg). Names are those of a torch.nn.Sequential, ReLUs counted: 0.weight,
// 0.bias, 1.weight (BN), ..., 3.weight.

#include <optional>
#include <string>
#include <vector>

#include "layers/norm.h"

namespace music {

// "8192-8160" -> {8192, 8160}; throws kUsage unless it is one to four positive
// numbers joined by '-'.
std::vector<std::int64_t> parse_projector(const std::string& spec);

// A head; as it stands, VICReg's.
struct HeadSpec {
  // Batch norm behind the last linear layer: none, or its Affine (norm.h).
  enum class LastNorm { kNone, kAffine, kNoBeta, kPlain };

  std::vector<std::int64_t> widths;  // of the linear layers' outputs
  bool bias = true;        // of all linear layers but the last
  bool norm = true;        // batch norm behind them
  bool last_bias = false;  // of the last linear layer
  LastNorm last_norm = LastNorm::kNone;
};

class Projector {
 public:
  Projector(Parameters& parameters, const std::string& prefix,
            std::int64_t features, const HeadSpec& spec);
  Projector(Parameters& parameters, const std::string& prefix,
            std::int64_t features, const std::vector<std::int64_t>& widths);

  // x [M, features] -> z [M, units()], F32 whatever x is
  Value forward(Graph& graph, Value x, ForwardMode mode) const;
  std::int64_t units() const { return units_; }

 private:
  struct Layer {
    int weight, bias;  // bias -1: none
    std::optional<BatchNorm> norm;
  };
  std::vector<Layer> layers_;
  std::string scope_;
  std::int64_t units_ = 0;
};

}  // namespace music
