#include "engine/optim/sgd.h"

#include <cmath>

#include "engine/optim/update.h"

namespace music {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(Parameters& parameters, const OptimizerSpec& spec)
      : parameters_(parameters),
        spec_(spec),
        blocks_(parameter_blocks(parameters)),
        rules_(parameters.table().size()) {}

  void step(UpdateState* state, const float* loss, void*) override {
    for (std::size_t i = 0; i < rules_.size(); ++i)
      rules_[i] = update_rule(spec_, *state, RuleOf(parameters_.table()[i]), 0, 0);
    const bool finite =
        (loss == nullptr || std::isfinite(*loss)) && gradients_finite();
    if (finite)
      apply_update(parameters_, blocks_, rules_, state->knobs.target_momentum);
    finish_update(*state, finite, {});
  }

 private:
  bool gradients_finite() const {
    const float* g = parameters_.flat_gradients();
    const std::int64_t n = parameters_.flat_elements();
    // 0 * x is NaN exactly for x that is not finite; the sum keeps it.
    float poison = 0;
#pragma omp parallel for simd reduction(+ : poison) schedule(static)
    for (std::int64_t i = 0; i < n; ++i) poison += 0.0f * g[i];
    return poison == 0.0f;
  }

  Parameters& parameters_;
  OptimizerSpec spec_;
  std::vector<ParameterBlock> blocks_;
  std::vector<UpdateRule> rules_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(Parameters& parameters,
                                    const OptimizerSpec& spec) {
  return std::make_unique<Sgd>(parameters, spec);
}

}  // namespace music
