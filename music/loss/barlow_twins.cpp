#include "music/loss/barlow_twins.h"

#include <cmath>

#include "music/loss/loss_node.h"

namespace music {

void check_spec(const BarlowTwinsSpec& s) {
  if (!std::isfinite(s.lambda) || !std::isfinite(s.scale))
    throw error(ExitCode::kUsage,
                "[barlow_twins] lambda {}, scale {}: expected finite numbers",
                s.lambda, s.scale);
  if (!(s.epsilon > 0) || !std::isfinite(s.epsilon))
    throw error(ExitCode::kUsage,
                "[barlow_twins] epsilon {}: expected a number above 0",
                s.epsilon);
}

BarlowTwinsValues barlow_twins(Graph& graph, Value z,
                               const BarlowTwinsSpec& spec,
                               const SharedBatch& batch, DType codes) {
  const auto out =
      add_view_loss(graph, "barlow_twins", z, 3, [=](const KernelRequest& r) {
        return MUSIC_MAKE(make_barlow_twins, r, spec, batch, codes);
      }, barlow_twins_price(spec, batch, codes));
  return {out.total, out.terms, out.deviation};
}

}  // namespace music
