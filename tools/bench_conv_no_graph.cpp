// bench_conv without the headers of cuDNN's graph API.
#include "tools/bench_conv.h"

namespace music {

struct ConvGraphs::Body {};

ConvGraphs::ConvGraphs(ConvMemory&) {}
ConvGraphs::~ConvGraphs() = default;
std::string ConvGraphs::why_not() {
  return "built without cudnn-frontend: tools/setup.sh --cuda fetches it";
}
ConvFigure ConvGraphs::measure(const cuda::ConvolutionProblem&, ConvWork, int,
                               double) {
  throw error(ExitCode::kInternal, "[bench_conv] {}", why_not());
}

}  // namespace music
