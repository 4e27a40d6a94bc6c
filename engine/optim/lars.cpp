#include "engine/optim/lars.h"

#include <cmath>

#include "engine/optim/update.h"

namespace music {
namespace {

class Lars final : public Optimizer {
 public:
  Lars(Parameters& parameters, const OptimizerSpec& spec)
      : parameters_(parameters),
        spec_(spec),
        blocks_(parameter_blocks(parameters)),
        rules_(parameters.table().size()),
        norms_(blocks_.size()) {}

  void step(UpdateState* state, const float* loss, void*) override {
    const float* p = parameters_.flat_values();
    const float* g = parameters_.flat_gradients();
#pragma omp parallel for schedule(static)
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const auto of = static_cast<std::size_t>(blocks_[b].parameter);
      const float decay =
          weight_decay(spec_, *state, RuleOf(parameters_.table()[of]));
      double pp = 0, dd = 0;
#pragma omp simd reduction(+ : pp, dd)
      for (std::int64_t i = blocks_[b].begin; i < blocks_[b].end; ++i) {
        const double v = p[i], d = g[i] + decay * p[i];
        pp += v * v;
        dd += d * d;
      }
      norms_[b] = {pp, dd};
    }
    std::vector<Norms> total(rules_.size());
    bool finite = loss == nullptr || std::isfinite(*loss);
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      auto& t = total[static_cast<std::size_t>(blocks_[b].parameter)];
      t.parameter += norms_[b].parameter;
      t.update += norms_[b].update;
      finite = finite && std::isfinite(norms_[b].update);
    }
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      rules_[i] = update_rule(spec_, *state, RuleOf(parameters_.table()[i]),
                              total[i].parameter, total[i].update);
    }
    if (finite)
      apply_update(parameters_, blocks_, rules_, state->knobs.target_momentum);
    finish_update(*state, finite, {});
  }

 private:
  struct Norms { double parameter = 0, update = 0; };  // squared

  Parameters& parameters_;
  OptimizerSpec spec_;
  std::vector<ParameterBlock> blocks_;
  std::vector<UpdateRule> rules_;
  std::vector<Norms> norms_;
};

}  // namespace

std::unique_ptr<Optimizer> make_lars(Parameters& parameters,
                                     const OptimizerSpec& spec) {
  return std::make_unique<Lars>(parameters, spec);
}

}  // namespace music
