#include "music/train/two_pass.h"

#include <algorithm>
#include <cstring>

#include "engine/core/device_runtime.h"
#include "engine/ops/add.h"

namespace music {
namespace {

// Rows of a block of views one behind the other: [views * samples, row bytes].
struct ViewRows {
  std::byte* data;
  std::int64_t samples;  // rows of a view
  std::int64_t first;    // that is meant
};

// `count` rows of each view.
void copy_views(Device device, ViewRows to, ViewRows from, std::int64_t count,
                std::int64_t views, std::size_t row_bytes, void* stream) {
  const auto row = static_cast<std::int64_t>(row_bytes);
  if (count == 0) return;
  to.data += to.first * row, from.data += from.first * row;
  if (device == Device::kCuda)
    return cuda::copy_rows({to.data, to.samples * row},
                           {from.data, from.samples * row}, count * row, views,
                           stream);
  for (std::int64_t v = 0; v < views; ++v)
    std::memcpy(to.data + v * to.samples * row,
                from.data + v * from.samples * row,
                static_cast<std::size_t>(count * row));
}

std::size_t row_bytes(const EmbeddedRows& rows) {
  return static_cast<std::size_t>(rows.width) * size_of(rows.dtype);
}

// As the parameters' gradient block.
ValueInfo flat_block(const Parameters& parameters) {
  ValueInfo info;
  info.shape = Shape{parameters.flat_elements()};
  return info;
}

StepMemory most(const StepMemory& a, const Executable& b) {
  return {std::max(a.arena, b.arena_bytes()),
          std::max(a.workspace, b.workspace_bytes()), a.rows};
}

}  // namespace

void NetworkPasses::add(PartShape part, const ObjectiveGraph& towards) {
  if (passes_.contains(part)) return;
  Pass& p = passes_[part];
  EmbedGraph forward = model_.embed_graph(part, spec_, communicator_);
  p.forward_pixels = forward.pixels, p.embedded = forward.embedded;
  p.forward = std::make_unique<Executable>(std::move(forward.graph),
                                           model_.parameters(), options_);
  EmbedBackwardGraph backward = model_.embed_backward_graph(
      part, spec_, towards, communicator_);
  p.backward_pixels = backward.pixels, p.gradients = backward.gradients;
  p.backward_begin = backward.backward_begin;
  if (backward.needed())
    p.backward = std::make_unique<Executable>(std::move(backward.graph),
                                              model_.parameters(), options_);
}

StepMemory NetworkPasses::memory() const {
  StepMemory m;
  for (const auto& [part, p] : passes_) {
    m = most(m, *p.forward);
    if (p.backward) m = most(m, *p.backward);
  }
  return m;
}

void NetworkPasses::bind(void* arena, void* workspace) {
  if (add_) return;
  const Parameters& parameters = model_.parameters();
  gradients_ = Buffer(
      static_cast<std::size_t>(parameters.flat_elements()) * sizeof(float),
      memory_of(parameters.device()));
  const ValueInfo block = flat_block(parameters);
  const KernelRequest request{parameters.device(), {block, block}, {block}};
  add_ = MUSIC_MAKE(make_add, request);
  for (auto& [part, p] : passes_) {
    p.forward->bind(arena, workspace);
    if (p.backward) p.backward->bind(arena, workspace, gradients_.as<float>());
  }
}

void NetworkPasses::accumulate(void* stream) {
  const Shape shape{model_.parameters().flat_elements()};
  const Tensor sum{model_.parameters().flat_gradients(), shape, DType::kF32};
  const Tensor in[] = {sum, {gradients_.data(), shape, DType::kF32}};
  add_->run({in, {&sum, 1}, nullptr, stream});
}

void NetworkPasses::observe() {
  const auto trace = [&](Executable& e, std::size_t backward_begin) {
    if (!around_.trace) return e.set_observer(nullptr);
    e.set_observer([this, &e, backward_begin](std::size_t node) {
      around_.trace.add(e.graph().nodes()[node],
                        node < backward_begin ? "forward" : "backward");
      around_.trace.start();
    });
  };
  for (auto& [part, p] : passes_) {
    trace(*p.forward, p.forward->graph().nodes().size());
    if (p.backward) trace(*p.backward, p.backward_begin);
  }
}

TwoPass::TwoPass(Model& model, const TrainingStepSpec& spec,
                 std::int64_t samples, int phase,
                 const ExecutableOptions& options,
                 dist::Communicator* communicator, StepSurroundings& around,
                 std::shared_ptr<NetworkPasses> passes)
    : model_(model), around_(around), passes_(std::move(passes)),
      parts_(micro_batches(samples, spec.micro_batch,
                           communicator ? communicator->rank() : 0,
                           communicator ? communicator->size() : 1)),
      here_(parts_.back().first + parts_.back().here),
      views_(needs_of(model.spec().method).views),
      of_(model.embedded_rows(parts_[0].shape.samples, spec)) {
  ObjectiveGraph o = model.objective_graph(samples, of_, communicator, phase);
  std::int64_t largest = 0;
  for (const MicroBatch& part : parts_) {
    passes_->add(part.shape, o);
    largest = std::max(largest, part.here);
  }
  labels_ = o.labels, loss_scale_ = o.loss_scale;
  embedded_ = o.embedded, gradients_ = o.gradients;
  objective_ = o.objective;
  sample_bytes_ = static_cast<std::size_t>(spec.image_size) * spec.image_size * 3;
  layout_.emplace(of_, o, plan_memory(o.graph, options.reuse_memory).bytes,
                  here_, largest, views_ * sample_bytes_);
  executable_ = std::make_unique<Executable>(std::move(o.graph),
                                             model.parameters(), options);
  pixel_bytes_ = static_cast<std::size_t>(views_ * here_) * sample_bytes_;
  if (labels_)
    label_bytes_ = static_cast<std::size_t>(here_) * sizeof(std::int32_t);
  note_numbers(*executable_, objective_);
}

StepMemory TwoPass::memory() const {
  StepMemory m = passes_->memory();
  m.workspace = std::max(m.workspace, executable_->workspace_bytes());
  m.rows = layout_->bytes;
  return m;
}

void TwoPass::bind(void* arena, void* workspace, void* rows,
                   const float* loss_scale) {
  rows_ = static_cast<std::byte*>(rows);
  passes_->bind(arena, workspace);
  executable_->bind(at(layout_->objective), workspace);
  executable_->set_input(loss_scale_, loss_scale);
  for (std::size_t i = 0; i < of_.size(); ++i)
    executable_->set_input(embedded_[i], at(layout_->rows[i]));
  note_numbers(*executable_, objective_);
  observe();
}

void TwoPass::set_batch(const void* pixels, const int* labels) {
  pixels_ = pixels;
  if (labels_) executable_->set_input(labels_, labels);
}

void TwoPass::run(void* stream) {
  for (const MicroBatch& part : parts_) embed(part, stream);
  clear_gradients(stream);
  around_.trace.start();
  executable_->run(stream);
  for (const MicroBatch& part : parts_) backward(part, stream);
  if (!around_.reducer) return;
  around_.reducer->start_all(stream);
  around_.reducer->finish(stream);
}

// The objective's own parameters are then written, the others added to.
void TwoPass::clear_gradients(void* stream) {
  const Parameters& p = model_.parameters();
  const auto bytes =
      static_cast<std::size_t>(p.flat_elements()) * sizeof(float);
  if (p.device() == Device::kCuda)
    cuda::set(p.flat_gradients(), 0, bytes, stream);
  else
    std::memset(p.flat_gradients(), 0, bytes);
}

void TwoPass::take_pixels(const MicroBatch& part, void* stream) {
  auto* pixels = static_cast<std::byte*>(const_cast<void*>(pixels_));
  copy_views(model_.parameters().device(), {at(layout_->pixels), part.here, 0},
             {pixels, here_, part.first}, part.here, views_, sample_bytes_,
             stream);
}

void TwoPass::embed(const MicroBatch& part, void* stream) {
  NetworkPasses::Pass& pass = passes_->at(part.shape);
  take_pixels(part, stream);
  pass.forward->set_input(pass.forward_pixels, at(layout_->pixels));
  around_.trace.start();
  pass.forward->run(stream);
  for (std::size_t i = 0; i < of_.size(); ++i) {
    auto* from = static_cast<std::byte*>(
        pass.forward->tensor(pass.embedded[i]).data);
    copy_views(model_.parameters().device(),
               {at(layout_->rows[i]), here_, part.first},
               {from, part.here, 0}, part.here, of_[i].views,
               row_bytes(of_[i]), stream);
  }
}

void TwoPass::backward(const MicroBatch& part, void* stream) {
  NetworkPasses::Pass& pass = passes_->at(part.shape);
  if (!pass.backward) return;
  take_pixels(part, stream);
  pass.backward->set_input(pass.backward_pixels, at(layout_->pixels));
  for (std::size_t i = 0; i < of_.size(); ++i) {
    if (!gradients_[i]) continue;
    std::byte* gradient = at(layout_->gradients[i]);
    auto* from = static_cast<std::byte*>(
        executable_->tensor(gradients_[i]).data);
    copy_views(model_.parameters().device(), {gradient, part.here, 0},
               {from, here_, part.first}, part.here, of_[i].views,
               row_bytes(of_[i]), stream);
    pass.backward->set_input(pass.gradients[i], gradient);
  }
  around_.trace.start();
  pass.backward->run(stream);
  passes_->accumulate(stream);
}

void TwoPass::observe() {
  passes_->observe();
  if (!around_.trace) return executable_->set_observer(nullptr);
  executable_->set_observer([this](std::size_t node) {
    around_.trace.add(executable_->graph().nodes()[node], "loss");
    around_.trace.start();
  });
}

const Executable& TwoPass::executable() const {
  throw error(ExitCode::kUsage,
              "[step] a profile of a step in two passes: expected one pass, "
              "train.micro_batch = 0");
}

}  // namespace music
