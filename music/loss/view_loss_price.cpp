#include "music/loss/view_loss_price.h"

#include "music/loss/barlow_twins.h"
#include "music/loss/column_slabs.h"
#include "music/loss/vicreg.h"

namespace music {
namespace {

// Sums over the batch, in double.
void tell_sums(std::int64_t count, dist::Timetable& t) {
  t.run(dist::Collective::Kind::kAllReduce,
        static_cast<double>(count) * sizeof(double));
}

// As centre_columns(): means and squares of both views.
void tell_centring(const ProductShare& s, dist::Timetable& t) {
  for (int k = 0; k < 2; ++k) tell_sums(2 * s.units(), t);
}

void vicreg_exchanges(const ProductShare& s, dist::Timetable& t) {
  tell_centring(s, t);
  for (int view = 0; view < 2; ++view) tell(s, t, 0.5);
  tell_sums(2, t);
}

void barlow_twins_exchanges(const ProductShare& s, dist::Timetable& t) {
  tell_centring(s, t);
  tell_sums(s.units(), t);
  tell(s, t);
  // Of squares off the diagonal and of the gradient, which comes first on a GPU.
  const bool gpu = s.device == Device::kCuda;
  tell_sums(gpu ? 4 * s.units() : 1, t);
  tell_sums(gpu ? 1 : 4 * s.units(), t);
}

std::size_t elements_of_views(const ProductShare& s) {
  return static_cast<std::size_t>(2 * s.n * row_elements(s, s.units()));
}

// Beside the product: the centred views, and of each unit of both a float and
// two doubles.
std::size_t vicreg_workspace(const ProductShare& s) {
  return gpu_workspace(s) + elements_of_views(s) * sizeof(float) +
         static_cast<std::size_t>(2 * s.units()) *
             (sizeof(float) + 2 * sizeof(double));
}

// Normalised views and their 16-bit codes; three floats of each unit, and six
// doubles.
std::size_t barlow_twins_workspace(const ProductShare& s) {
  const std::size_t codes = s.codes == DType::kF32 ? 0 : size_of(s.codes);
  return gpu_workspace(s) + elements_of_views(s) * (sizeof(float) + codes) +
         static_cast<std::size_t>(s.units()) *
             (3 * sizeof(float) + 6 * sizeof(double));
}

}  // namespace

ViewLossPrice vicreg_price(const VicregSpec& spec, const SharedBatch& batch) {
  return {.batch = batch,
          .gradients = gradients_of(spec),
          .products = 2,
          .exchanges = vicreg_exchanges,
          .workspace = vicreg_workspace};
}

ViewLossPrice barlow_twins_price(const BarlowTwinsSpec& spec,
                                 const SharedBatch& batch, DType codes) {
  return {.batch = batch,
          .codes = codes,
          .gradients = gradients_of(spec),
          .exchanges = barlow_twins_exchanges,
          .workspace = barlow_twins_workspace};
}

void add_price(Node& node, const ViewLossPrice& price, const Shape& views,
               Device device) {
  const dist::Communicator* c = price.batch.communicator;
  const bool shared = c && c->size() > 1;
  const ProductShare product{
      .slabs = column_slabs(views[1], shared ? c->size() : 1),
      .n = views[0] / 2,
      .samples = shared ? price.batch.samples : views[0] / 2,
      .rank = shared ? c->rank() : 0,
      .device = device,
      .codes = price.codes,
      .gradients = price.gradients};
  node.work = [product, products = price.products](const Graph& g,
                                                   const Node& n) {
    const NodeWork one = product_work(product);
    NodeWork work = traffic(g, n);
    work.flops = products * one.flops;
    work.bytes += products * one.bytes;
    return work;
  };
  node.workspace = [product, make = node.make, on_gpu = price.workspace](
                       const KernelRequest& r) {
    return r.device == Device::kCpu ? make(r)->workspace_bytes()
                                    : on_gpu(product);
  };
  if (!shared) return;
  node.exchanges = [product, exchanges = price.exchanges](dist::Timetable& t) {
    exchanges(product, t);
  };
  node.largest_rank = widest_slab(product.slabs);
}

}  // namespace music
