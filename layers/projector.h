#pragma once
// The projection head: "8192-8160" is Linear(+bias) - BN - ReLU - Linear(no
// bias); each further number repeats Linear(+bias) - BN - ReLU (method of
// VICReg). Names are those of a torch.nn.Sequential: 0.weight, 0.bias,
// 1.weight (BN), ..., 3.weight.

#include <string>
#include <vector>

#include "layers/norm.h"

namespace music {

// "8192-8160" -> {8192, 8160}; throws kUsage unless it is one to four positive
// numbers joined by '-'.
std::vector<std::int64_t> parse_projector(const std::string& spec);

class Projector {
 public:
  Projector(Parameters& parameters, const std::string& prefix,
            std::int64_t features, const std::vector<std::int64_t>& widths);

  // x [M, features] -> z [M, units()], F32 whatever x is
  Value forward(Graph& graph, Value x, ForwardMode mode) const;
  std::int64_t units() const { return units_; }

 private:
  struct Hidden {
    int weight, bias;
    BatchNorm norm;
  };
  std::vector<Hidden> hidden_;
  int last_ = -1;
  std::int64_t units_ = 0;
};

}  // namespace music
