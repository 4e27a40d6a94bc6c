#pragma once
// What the losses of vicreg.h and barlow_twins.h cost one of the processes that
// share their batch, told by sizes alone.

#include "engine/graph/graph.h"
#include "music/loss/barlow_twins_spec.h"
#include "music/loss/product_price.h"
#include "music/loss/shared_batch.h"
#include "music/loss/vicreg_spec.h"

namespace music {

struct ViewLossPrice {
  SharedBatch batch;
  DType codes = DType::kF32;
  Gradients gradients = Gradients::kBoth;
  int products = 1;  // of views, one after the other
  // Of several processes, as the kernel makes them.
  void (*exchanges)(const ProductShare&, dist::Timetable&) = nullptr;
  // Of the GPU's kernel, from the sizes of its parts.
  std::size_t (*workspace)(const ProductShare&) = nullptr;
};
ViewLossPrice vicreg_price(const VicregSpec& spec, const SharedBatch& batch);
ViewLossPrice barlow_twins_price(const BarlowTwinsSpec& spec,
                                 const SharedBatch& batch, DType codes);

// What plans ask of a node that is made otherwise, of views [2N,D].
void add_price(Node& node, const ViewLossPrice& price, const Shape& views,
               Device device);

}  // namespace music
