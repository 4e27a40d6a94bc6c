#include "engine/optim/sgd.h"

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

  void step(double rate) override {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const bool matrix = parameters_.table()[i].shape.rank() > 1;
      const double decay = matrix || spec_.decay_1d ? spec_.weight_decay : 0;
      rules_[i] = {static_cast<float>(matrix ? rate : rate * spec_.lr_1d),
                   static_cast<float>(spec_.momentum), 1.0f,
                   static_cast<float>(decay), spec_.nesterov};
    }
    apply_update(parameters_, blocks_, rules_);
  }

 private:
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
