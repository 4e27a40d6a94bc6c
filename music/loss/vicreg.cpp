#include "music/loss/vicreg.h"

#include <cmath>

#include "music/loss/loss_node.h"

namespace music {

void check_spec(const VicregSpec& s) {
  if (!std::isfinite(s.invariance) || !std::isfinite(s.variance) ||
      !std::isfinite(s.covariance))
    throw error(ExitCode::kUsage,
                "[vicreg] coefficients {}, {}, {}: expected finite numbers",
                s.invariance, s.variance, s.covariance);
  if (!(s.epsilon > 0) || !std::isfinite(s.epsilon))
    throw error(ExitCode::kUsage,
                "[vicreg] epsilon {}: expected a number above 0", s.epsilon);
}

VicregValues vicreg(Graph& graph, Value z, const VicregSpec& spec,
                    const SharedBatch& batch, DType codes) {
  const auto out =
      add_view_loss(graph, "vicreg", z, 4, [=](const KernelRequest& r) {
        return MUSIC_MAKE(make_vicreg, r, spec, batch, codes);
      }, vicreg_price(spec, batch));
  return {out.total, out.terms, out.deviation};
}

}  // namespace music
