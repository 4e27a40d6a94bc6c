#include "engine/ops/image_normalize.h"

namespace music {

Value image_normalize(Graph& graph, Value x, const ImageNormalizeSpec& spec) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() == 4 && xs[3] == 3 && graph.info(x).dtype == DType::kU8,
              "[image_normalize] input {} {}, expected U8 [N,H,W,3]",
              name_of(graph.info(x).dtype), xs.str());
  MUSIC_CHECK(spec.channels == 3 || spec.channels == 4,
              "[image_normalize] {} channels, expected 3 or 4", spec.channels);
  Node node;
  node.op = "image_normalize";
  node.inputs = {x};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_image_normalize, r, spec);
  };
  return graph.add1(std::move(node), Shape{xs[0], xs[1], xs[2], spec.channels},
                    spec.dtype);
}

}  // namespace music
