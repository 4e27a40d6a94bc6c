#include "music/train/one_pass.h"

namespace music {

void StepBody::note_numbers(const Executable& executable,
                            const Objective& objective) {
  numbers_.clear();
  const auto note = [&](const std::string& name, Value v) {
    const ValueInfo& info = executable.graph().info(v);
    numbers_.emplace_back(name, executable.bound()
                                    ? executable.tensor(v)
                                    : Tensor{nullptr, info.shape, info.dtype});
  };
  note("", objective.total);
  for (const Reading& r : objective.readings) note(r.name, r.value);
}

OnePass::OnePass(Model& model, const TrainingStepSpec& spec,
                 std::int64_t samples, int phase,
                 const ExecutableOptions& options,
                 dist::Communicator* communicator, StepSurroundings& around)
    : around_(around) {
  StepGraph step = model.step_graph(samples, spec, communicator, phase);
  pixels_ = step.pixels, labels_ = step.labels, loss_scale_ = step.loss_scale;
  objective_ = step.objective;
  loss_begin_ = step.loss_begin, backward_begin_ = step.backward_begin;
  executable_ = std::make_unique<Executable>(std::move(step.graph),
                                             model.parameters(), options);
  const Graph& g = executable_->graph();
  pixel_bytes_ = static_cast<std::size_t>(g.shape(pixels_).elements());
  if (labels_)
    label_bytes_ = static_cast<std::size_t>(g.shape(labels_).elements()) *
                   sizeof(std::int32_t);
  note_numbers(*executable_, objective_);
}

StepMemory OnePass::memory() const {
  return {executable_->arena_bytes(), executable_->workspace_bytes(), 0};
}

void OnePass::bind(void* arena, void* workspace, void*,
                   const float* loss_scale) {
  executable_->bind(arena, workspace);
  executable_->set_input(loss_scale_, loss_scale);
  if (around_.reducer) schedule_ = around_.reducer->schedule(executable_->graph());
  note_numbers(*executable_, objective_);
  observe();
}

void OnePass::set_batch(const void* pixels, const int* labels) {
  executable_->set_input(pixels_, pixels);
  if (labels_) executable_->set_input(labels_, labels);
}

void OnePass::run(void* stream) {
  stream_ = stream;
  around_.trace.start();
  executable_->run(stream);
  if (around_.reducer) around_.reducer->finish(stream);
}

void OnePass::observe() {
  if (!around_.reducer && !around_.trace)
    return executable_->set_observer(nullptr);
  executable_->set_observer([this](std::size_t node) {
    around_.trace.add(executable_->graph().nodes()[node], category(node));
    if (around_.reducer) around_.reducer->after_node(schedule_, node, stream_);
    around_.trace.start();
  });
}

const char* OnePass::category(std::size_t node) const {
  return node < loss_begin_ ? "forward" : node < backward_begin_ ? "loss" : "backward";
}

}  // namespace music
