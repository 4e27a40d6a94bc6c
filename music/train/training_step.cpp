#include "music/train/training_step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace music {
namespace {

// What the host writes before a step and reads after it: page-locked.
struct StepScalars {
  float rates[kMostGroups] = {};
  UpdateState state;
  double terms[4] = {};
};

bool capture_wanted(const ExecutableOptions& options) {
  const char* v = std::getenv("MUSIC_CUDA_GRAPH");
  // Both debugging options wait for the device inside the step.
  return !(v && std::string_view(v) == "0") && !options.check_finite &&
         !options.profile;
}

}  // namespace

struct TrainingStep::Gpu {
  explicit Gpu(std::size_t pixel_bytes, std::size_t mean_q_bytes)
      : staging(pixel_bytes, music::Memory::kDevice),
        input(pixel_bytes, music::Memory::kDevice),
        exchange(sizeof(StepScalars), music::Memory::kPinned),
        mean_q(mean_q_bytes, music::Memory::kPinned) {}
  StepScalars& host() { return *exchange.as<StepScalars>(); }

  cuda::Stream compute, copies;
  cuda::Event copied, consumed, done;  // staging: filled, emptied; the step
  Buffer staging, input;  // u8 pixels: the next step's, this step's
  Buffer exchange, mean_q;
  bool capture = true;
};

TrainingStep::TrainingStep(Model& model, const TrainingStepSpec& spec,
                           const std::vector<std::int64_t>& batch_sizes,
                           ExecutableOptions options,
                           dist::Communicator* communicator)
    : model_(model),
      device_(model.parameters().device()),
      options_(options),
      communicator_(communicator && communicator->size() > 1 ? communicator
                                                             : nullptr) {
  options_.device = device_;
  if (communicator_) reducer_.emplace(*communicator_, model.parameters());
  std::size_t arena = 0, workspace = 0, pixels = 0;
  for (const std::int64_t n : batch_sizes) {
    if (prepared_.contains(n)) continue;
    StepGraph step = model.step_graph(n, spec.image_size, spec.pixels,
                                      spec.segments, spec.loss, communicator_);
    Prepared& p = prepared_[n];
    p.pixels = step.pixels, p.loss_scale = step.loss_scale;
    p.loss = step.loss;
    step.graph.keep(p.loss.total);
    pixels = std::max(pixels, static_cast<std::size_t>(
                                  step.graph.shape(step.pixels).elements()));
    p.executable = std::make_unique<Executable>(std::move(step.graph),
                                                model.parameters(), options_);
    arena = std::max(arena, p.executable->arena_bytes());
    workspace = std::max(workspace, p.executable->workspace_bytes());
  }
  arena_ = Buffer(arena, memory_of(device_));
  workspace_ = Buffer(workspace, memory_of(device_));
  state_ = Buffer(sizeof(UpdateState), memory_of(device_));
  for (auto& [n, p] : prepared_) {
    p.executable->bind(arena_.data(), workspace_.data());
    p.executable->set_input(p.loss_scale,
                            &state_.as<UpdateState>()->loss_scale);
    if (reducer_) p.schedule = reducer_->schedule(p.executable->graph());
    observe(p);
  }
  LossScaleSpec scale;
  scale.dynamic = model.parameters().storage().compute == DType::kF16;
  set_update_state({.loss_scale = scale.dynamic ? scale.initial : 1.0f});
  optimizer_ = make_optimizer(model.parameters(), spec.optimizer, scale);
  if (device_ == Device::kCpu) return;
  gpu_ = std::make_unique<Gpu>(
      pixels, static_cast<std::size_t>(2 * spec.segments.units()) *
                  sizeof(float));
  gpu_->capture = capture_wanted(options_) &&
                  (!communicator_ || communicator_->capturable());
  for (auto& [n, p] : prepared_)
    p.executable->set_input(p.pixels, gpu_->input.data());
}

TrainingStep::~TrainingStep() = default;

void TrainingStep::observe(Prepared& p) {
  if (!reducer_ && !timeline_) return p.executable->set_observer(nullptr);
  p.executable->set_observer([this, &p](std::size_t node) {
    if (timeline_) record(p, node);
    if (reducer_) reducer_->after_node(p.schedule, node, stream());
    if (timeline_) node_begin_ = dist::Timeline::Clock::now();
  });
}

void TrainingStep::trace(dist::Timeline* timeline) {
  timeline_ = timeline;
  for (auto& [n, p] : prepared_) {
    const auto& nodes = p.executable->graph().nodes();
    while (nodes[p.loss_node].op != "joint_entropy") ++p.loss_node;
    observe(p);
  }
}

void TrainingStep::record(const Prepared& p, std::size_t node) {
  const Node& n = p.executable->graph().nodes()[node];
  timeline_->add({dist::Timeline::Lane::kCompute, n.op,
                  node < p.loss_node    ? "forward"
                  : node == p.loss_node ? "loss"
                                        : "backward",
                  node_begin_, dist::Timeline::Clock::now(), n.scope, -1});
}

void* TrainingStep::stream() const {
  return gpu_ ? gpu_->compute.get() : nullptr;
}

TrainingStep::Prepared& TrainingStep::prepared(std::int64_t samples) {
  const auto it = prepared_.find(samples);
  MUSIC_CHECK(it != prepared_.end(), "[step] batch of {} samples not prepared",
              samples);
  return it->second;
}

void TrainingStep::stage(const void* pixels, std::int64_t samples) {
  const Prepared& p = prepared(samples);
  staged_ = pixels;
  staged_samples_ = samples;
  if (!gpu_) return;
  gpu_->consumed.wait_in(gpu_->copies.get());
  cuda::copy(gpu_->staging.data(), pixels,
             p.executable->tensor(p.pixels).bytes(), gpu_->copies.get());
  gpu_->copied.record(gpu_->copies.get());
}

void TrainingStep::wait_staged() {
  if (gpu_) gpu_->copied.synchronize();
}

void TrainingStep::submit(double rate) {
  MUSIC_CHECK(staged_ && !submitted_, "[step] submit() without a staged batch");
  Prepared& p = prepared(staged_samples_);
  submitted_ = &p;
  if (!gpu_) {
    p.executable->set_input(p.pixels, staged_);
    state_.as<UpdateState>()->set_rate(static_cast<float>(rate));
    loss_scale_ = state_.as<UpdateState>()->loss_scale;
    queue(p, true);
  } else {
    void* stream = gpu_->compute.get();
    gpu_->copied.wait_in(stream);
    cuda::copy(gpu_->input.data(), gpu_->staging.data(),
               p.executable->tensor(p.pixels).bytes(), stream);
    gpu_->consumed.record(stream);
    std::ranges::fill(gpu_->host().rates, static_cast<float>(rate));
    if (!gpu_->capture || !p.ran) {
      queue(p, true);
      p.ran = true;
    } else {
      if (!p.graph.ready()) {
        p.graph.begin(stream);
        queue(p, true);
        p.graph.end(stream);
      }
      p.graph.launch(stream);
    }
    gpu_->done.record(stream);
  }
  staged_ = nullptr;
}

// The work of a step; on a GPU with the exchange of its numbers.
void TrainingStep::queue(Prepared& p, bool update) {
  const Tensor total = p.executable->tensor(p.loss.total);
  if (!gpu_) {
    if (timeline_) node_begin_ = dist::Timeline::Clock::now();
    p.executable->run();
    if (reducer_) reducer_->finish(nullptr);
    if (!update) return;
    const dist::Timeline::Scope scope(
        timeline_, dist::Timeline::Lane::kCompute, "optimizer", "optimizer");
    optimizer_->step(state_.as<UpdateState>(), total.f32(), nullptr);
    return;
  }
  auto* state = state_.as<UpdateState>();
  StepScalars& host = gpu_->host();
  if (update) cuda::copy(state->rates, host.rates, sizeof host.rates, stream());
  p.executable->run(stream());
  if (reducer_) reducer_->finish(stream());
  if (update) optimizer_->step(state, total.f32(), stream());
  const Tensor terms = p.executable->tensor(p.loss.terms);
  const Tensor mean_q = p.executable->tensor(p.loss.mean_q);
  cuda::copy(host.terms, terms.data, terms.bytes(), stream());
  cuda::copy(gpu_->mean_q.data(), mean_q.data, mean_q.bytes(), stream());
  cuda::copy(&host.state, state, sizeof host.state, stream());
}

StepOutcome TrainingStep::finish() {
  MUSIC_CHECK(submitted_, "[step] finish() before submit()");
  if (gpu_ && communicator_) {
    // A peer that is lost must become an error here, not a wait without end.
    while (!gpu_->done.reached()) {
      communicator_->poll();
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  } else if (gpu_) {
    gpu_->done.synchronize();
  }
  StepOutcome result = outcome(*submitted_);
  submitted_ = nullptr;
  const UpdateState& state =
      gpu_ ? gpu_->host().state : *state_.as<UpdateState>();
  result.applied = state.applied != 0;
  result.loss_scale = loss_scale_;
  loss_scale_ = state.loss_scale;
  return result;
}

StepOutcome TrainingStep::outcome(const Prepared& p) const {
  const double* t = gpu_ ? gpu_->host().terms
                         : p.executable->tensor(p.loss.terms).as<double>();
  StepOutcome result;
  result.terms.de = t[0], result.terms.oe = t[1];
  result.terms.ti = t[2], result.terms.total = t[3];
  result.mean_q = p.executable->tensor(p.loss.mean_q);
  if (gpu_) result.mean_q.data = gpu_->mean_q.data();
  return result;
}

StepOutcome TrainingStep::forward_backward(const void* pixels,
                                           std::int64_t samples) {
  Prepared& p = prepared(samples);
  if (!gpu_) {
    p.executable->set_input(p.pixels, pixels);
    queue(p, false);
    return outcome(p);
  }
  void* stream = gpu_->compute.get();
  cuda::copy(gpu_->input.data(), pixels,
             p.executable->tensor(p.pixels).bytes(), stream);
  queue(p, false);
  cuda::synchronize(stream);
  return outcome(p);
}

UpdateState TrainingStep::update_state() const {
  UpdateState state;
  download(&state, state_.data(), sizeof state, device_);
  return state;
}

void TrainingStep::set_update_state(const UpdateState& state) {
  upload(state_.data(), &state, sizeof state, device_);
  loss_scale_ = state.loss_scale;
}

const Executable& TrainingStep::executable(std::int64_t samples) const {
  return *prepared_.at(samples).executable;
}

}  // namespace music
