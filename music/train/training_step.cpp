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
  UpdateKnobs knobs;
  UpdateState state;
};

// Where the numbers of a step lie one behind the other: the total, then the
// readings. Calls fn(value, offset); returns the bytes.
template <typename F>
std::size_t for_each_number(const Graph& graph, const Objective& objective,
                            F&& fn) {
  std::size_t offset = 0;
  const auto take = [&](Value v) {
    fn(v, offset);
    const ValueInfo& info = graph.info(v);
    offset += aligned(static_cast<std::size_t>(info.shape.elements()) *
                      size_of(info.dtype));
  };
  take(objective.total);
  for (const Reading& r : objective.readings) take(r.value);
  return offset;
}

bool capture_wanted(const ExecutableOptions& options) {
  const char* v = std::getenv("MUSIC_CUDA_GRAPH");
  // Both debugging options wait for the device inside the step.
  return !(v && std::string_view(v) == "0") && !options.check_finite &&
         !options.profile;
}

}  // namespace

struct TrainingStep::Gpu {
  Gpu(std::size_t batch_bytes, std::size_t number_bytes)
      : staging(batch_bytes, music::Memory::kDevice),
        input(batch_bytes, music::Memory::kDevice),
        exchange(sizeof(StepScalars), music::Memory::kPinned),
        numbers(number_bytes, music::Memory::kPinned) {}
  StepScalars& host() { return *exchange.as<StepScalars>(); }

  cuda::Stream compute, copies;
  cuda::Event copied, consumed, done;  // staging: filled, emptied; the step
  Buffer staging, input;  // pixels, labels: the next step's, this step's
  Buffer exchange, numbers;
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
  std::size_t arena = 0, workspace = 0, batch = 0, numbers = 0;
  const int phases = model.method().phases();
  std::vector<PreparedKey> keys;
  for (const std::int64_t n : batch_sizes)
    for (int phase = 0; phase < phases; ++phase) keys.emplace_back(n, phase);
  for (const auto& [n, phase] : keys) {
    if (prepared_.contains({n, phase})) continue;
    StepGraph step = model.step_graph(n, spec, communicator_, phase);
    Prepared& p = prepared_[{n, phase}];
    p.pixels = step.pixels, p.labels = step.labels;
    p.loss_scale = step.loss_scale;
    p.objective = step.objective;
    p.loss_begin = step.loss_begin, p.backward_begin = step.backward_begin;
    p.executable = std::make_unique<Executable>(std::move(step.graph),
                                                model.parameters(), options_);
    batch = std::max(batch, label_offset(p) + label_bytes(p));
    numbers = std::max(numbers, for_each_number(p.executable->graph(),
                                                p.objective,
                                                [](Value, std::size_t) {}));
    arena = std::max(arena, p.executable->arena_bytes());
    workspace = std::max(workspace, p.executable->workspace_bytes());
  }
  arena_ = Buffer(arena, memory_of(device_));
  workspace_ = Buffer(workspace, memory_of(device_));
  state_ = Buffer(sizeof(UpdateState), memory_of(device_));
  for (auto& [key, p] : prepared_) {
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
  gpu_ = std::make_unique<Gpu>(batch, numbers);
  gpu_->capture = capture_wanted(options_) &&
                  (!communicator_ || communicator_->capturable());
  for (auto& [key, p] : prepared_) {
    p.executable->set_input(p.pixels, gpu_->input.data());
    if (p.labels)
      p.executable->set_input(p.labels,
                              gpu_->input.as<std::byte>() + label_offset(p));
  }
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
  for (auto& [key, p] : prepared_) observe(p);
}

void TrainingStep::record(const Prepared& p, std::size_t node) {
  const Node& n = p.executable->graph().nodes()[node];
  timeline_->add({dist::Timeline::Lane::kCompute, n.op,
                  node < p.loss_begin       ? "forward"
                  : node < p.backward_begin ? "loss"
                                            : "backward",
                  node_begin_, dist::Timeline::Clock::now(), n.scope, -1});
}

void* TrainingStep::stream() const {
  return gpu_ ? gpu_->compute.get() : nullptr;
}

TrainingStep::Prepared& TrainingStep::prepared(std::int64_t samples,
                                               int phase) {
  const auto it = prepared_.find({samples, phase});
  MUSIC_CHECK(it != prepared_.end(), "[step] batch of {} samples not prepared",
              samples);
  return it->second;
}

std::size_t TrainingStep::label_offset(const Prepared& p) const {
  return aligned(static_cast<std::size_t>(
      p.executable->graph().shape(p.pixels).elements()));
}

std::size_t TrainingStep::label_bytes(const Prepared& p) const {
  if (!p.labels) return 0;
  return static_cast<std::size_t>(
             p.executable->graph().shape(p.labels).elements()) *
         sizeof(std::int32_t);
}

// Pixels and labels from the host, into a buffer of a batch.
void TrainingStep::upload_batch(const Prepared& p, const Buffer& to,
                                const void* pixels, const int* labels,
                                void* stream) const {
  cuda::copy(to.data(), pixels, p.executable->tensor(p.pixels).bytes(), stream);
  if (p.labels)
    cuda::copy(to.as<std::byte>() + label_offset(p), labels, label_bytes(p),
               stream);
}

void TrainingStep::stage(const void* pixels, std::int64_t samples,
                         const int* labels) {
  const Prepared& p = prepared(samples);
  MUSIC_CHECK(labels || !p.labels, "[step] stage() without labels");
  staged_ = pixels;
  staged_labels_ = labels;
  staged_samples_ = samples;
  if (!gpu_) return;
  gpu_->consumed.wait_in(gpu_->copies.get());
  upload_batch(p, gpu_->staging, pixels, labels, gpu_->copies.get());
  gpu_->copied.record(gpu_->copies.get());
}

void TrainingStep::wait_staged() {
  if (gpu_) gpu_->copied.synchronize();
}

void TrainingStep::submit(const UpdateKnobs& knobs, int phase) {
  MUSIC_CHECK(staged_ && !submitted_, "[step] submit() without a staged batch");
  Prepared& p = prepared(staged_samples_, phase);
  submitted_ = &p;
  if (!gpu_) {
    p.executable->set_input(p.pixels, staged_);
    if (p.labels) p.executable->set_input(p.labels, staged_labels_);
    state_.as<UpdateState>()->knobs = knobs;
    loss_scale_ = state_.as<UpdateState>()->loss_scale;
    queue(p, true);
  } else {
    void* stream = gpu_->compute.get();
    gpu_->copied.wait_in(stream);
    cuda::copy(gpu_->input.data(), gpu_->staging.data(),
               label_offset(p) + label_bytes(p), stream);
    gpu_->consumed.record(stream);
    gpu_->host().knobs = knobs;
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
  const Tensor total = p.executable->tensor(p.objective.total);
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
  if (update) cuda::copy(&state->knobs, &host.knobs, sizeof host.knobs, stream());
  p.executable->run(stream());
  if (reducer_) reducer_->finish(stream());
  if (update) optimizer_->step(state, total.f32(), stream());
  for_each_number(p.executable->graph(), p.objective,
                  [&](Value v, std::size_t offset) {
                    const Tensor t = p.executable->tensor(v);
                    cuda::copy(gpu_->numbers.as<std::byte>() + offset, t.data,
                               t.bytes(), stream());
                  });
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
  StepOutcome result;
  std::size_t i = 0;
  for_each_number(p.executable->graph(), p.objective,
                  [&](Value v, std::size_t offset) {
                    Tensor t = p.executable->tensor(v);
                    if (gpu_) t.data = gpu_->numbers.as<std::byte>() + offset;
                    if (i == 0)
                      result.total = static_cast<double>(*t.f32());
                    else
                      result.readings.add(p.objective.readings[i - 1].name, t);
                    ++i;
                  });
  return result;
}

StepOutcome TrainingStep::forward_backward(const void* pixels,
                                           std::int64_t samples,
                                           const int* labels) {
  Prepared& p = prepared(samples);
  MUSIC_CHECK(labels || !p.labels, "[step] forward_backward() without labels");
  if (!gpu_) {
    p.executable->set_input(p.pixels, pixels);
    if (p.labels) p.executable->set_input(p.labels, labels);
    queue(p, false);
    return outcome(p);
  }
  void* stream = gpu_->compute.get();
  upload_batch(p, gpu_->input, pixels, labels, stream);
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
  return *prepared_.at({samples, 0}).executable;
}

}  // namespace music
