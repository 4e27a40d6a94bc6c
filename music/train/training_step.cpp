#include "music/train/training_step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "music/train/one_pass.h"
#include "music/train/two_pass.h"

namespace music {
namespace {

// What the host writes before a step and reads after it: page-locked.
struct StepScalars {
  UpdateKnobs knobs;
  UpdateState state;
};

// Where the numbers of a step lie one behind the other. Calls
// fn(tensor, offset); returns the bytes.
template <typename F>
std::size_t for_each_number(const StepBody& body, F&& fn) {
  std::size_t offset = 0;
  for (const auto& [name, tensor] : body.numbers()) {
    fn(tensor, offset);
    offset += aligned(tensor.bytes());
  }
  return offset;
}

// Of labels, behind the pixels in a buffer of a batch.
std::size_t label_offset(const StepBody& body) {
  return aligned(body.pixel_bytes());
}
std::size_t batch_bytes(const StepBody& body) {
  return label_offset(body) + body.label_bytes();
}

// Pixels and labels from the host, into a buffer of a batch.
void upload_batch(const StepBody& body, const Buffer& to, const void* pixels,
                  const int* labels, void* stream) {
  cuda::copy(to.data(), pixels, body.pixel_bytes(), stream);
  if (body.label_bytes() > 0)
    cuda::copy(to.as<std::byte>() + label_offset(body), labels,
               body.label_bytes(), stream);
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
  if (reducer_) around_.reducer = &*reducer_;
  const bool two_passes =
      spec.micro_batch > 0 &&
      std::ranges::any_of(batch_sizes, [&](std::int64_t n) {
        return n > spec.micro_batch;
      });
  if (two_passes)
    passes_ = std::make_shared<NetworkPasses>(model, spec, options_,
                                              communicator_, around_);
  const int phases = model.method().phases();
  for (const std::int64_t n : batch_sizes)
    for (int phase = 0; phase < phases; ++phase)
      if (!prepared_.contains({n, phase}))
        prepared_[{n, phase}].body = make_body({n, phase}, spec);
  StepMemory most;
  std::size_t batch = 0, numbers = 0;
  for (const auto& [key, p] : prepared_) {
    const StepMemory m = p.body->memory();
    most = {std::max(most.arena, m.arena), std::max(most.workspace, m.workspace),
            std::max(most.rows, m.rows)};
    batch = std::max(batch, batch_bytes(*p.body));
    numbers = std::max(numbers, for_each_number(*p.body, [](auto&&...) {}));
  }
  arena_ = Buffer(most.arena, memory_of(device_));
  workspace_ = Buffer(most.workspace, memory_of(device_));
  rows_ = Buffer(most.rows, memory_of(device_));
  state_ = Buffer(sizeof(UpdateState), memory_of(device_));
  for (auto& [key, p] : prepared_)
    p.body->bind(arena_.data(), workspace_.data(), rows_.data(),
                 &state_.as<UpdateState>()->loss_scale);
  LossScaleSpec scale;
  scale.dynamic = model.parameters().storage().compute == DType::kF16;
  set_update_state({.loss_scale = scale.dynamic ? scale.initial : 1.0f});
  optimizer_ = make_optimizer(model.parameters(), spec.optimizer, scale);
  kept_.emplace(model.parameters());
  if (device_ == Device::kCpu) return;
  gpu_ = std::make_unique<Gpu>(batch, numbers);
  gpu_->capture = capture_wanted(options_) &&
                  (!communicator_ || communicator_->capturable());
  for (auto& [key, p] : prepared_)
    p.body->set_batch(gpu_->input.data(),
                      reinterpret_cast<const int*>(
                          gpu_->input.as<std::byte>() + label_offset(*p.body)));
}

TrainingStep::~TrainingStep() = default;

std::unique_ptr<StepBody> TrainingStep::make_body(
    PreparedKey key, const TrainingStepSpec& spec) {
  const auto [samples, phase] = key;
  if (passes_)
    return std::make_unique<TwoPass>(model_, spec, samples, phase, options_,
                                     communicator_, around_, passes_);
  return std::make_unique<OnePass>(model_, spec, samples, phase, options_,
                                   communicator_, around_);
}

void TrainingStep::trace(dist::Timeline* timeline) {
  timeline_ = timeline;
  around_.trace.set(timeline);
  for (auto& [key, p] : prepared_) p.body->observe();
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

void TrainingStep::stage(const void* pixels, std::int64_t samples,
                         const int* labels) {
  const StepBody& body = *prepared(samples).body;
  MUSIC_CHECK(labels || body.label_bytes() == 0,
              "[step] stage() without labels");
  staged_ = pixels;
  staged_labels_ = labels;
  staged_samples_ = samples;
  if (!gpu_) return;
  gpu_->consumed.wait_in(gpu_->copies.get());
  upload_batch(body, gpu_->staging, pixels, labels, gpu_->copies.get());
  gpu_->copied.record(gpu_->copies.get());
}

void TrainingStep::wait_staged() {
  if (gpu_) gpu_->copied.synchronize();
}

void TrainingStep::submit(const UpdateKnobs& knobs, int phase) {
  MUSIC_CHECK(staged_samples_ > 0 && !submitted_,
              "[step] submit() without a staged batch");
  Prepared& p = prepared(staged_samples_, phase);
  submitted_ = &p;
  if (!gpu_) {
    p.body->set_batch(staged_, staged_labels_);
    state_.as<UpdateState>()->knobs = knobs;
    loss_scale_ = state_.as<UpdateState>()->loss_scale;
    queue(p, true);
  } else {
    void* stream = gpu_->compute.get();
    gpu_->copied.wait_in(stream);
    cuda::copy(gpu_->input.data(), gpu_->staging.data(),
               batch_bytes(*p.body), stream);
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
  staged_samples_ = 0;
}

// The work of a step; on a GPU with the exchange of its numbers.
void TrainingStep::queue(Prepared& p, bool update) {
  const Tensor total = p.body->numbers()[0].second;
  if (!gpu_) {
    if (update) kept_->keep(nullptr);
    if (update && still_) still_(true);
    p.body->run(nullptr);
    if (!update) return;
    if (still_) still_(false);
    const dist::Timeline::Scope scope(
        timeline_, dist::Timeline::Lane::kCompute, "optimizer", "optimizer");
    optimizer_->step(state_.as<UpdateState>(), total.f32(), nullptr);
    kept_->restore(state_.as<UpdateState>(), nullptr);
    return;
  }
  auto* state = state_.as<UpdateState>();
  StepScalars& host = gpu_->host();
  if (update) {
    cuda::copy(&state->knobs, &host.knobs, sizeof host.knobs, stream());
    kept_->keep(stream());
  }
  p.body->run(stream());
  if (update) {
    optimizer_->step(state, total.f32(), stream());
    kept_->restore(state, stream());
  }
  for_each_number(*p.body, [&](const Tensor& t, std::size_t offset) {
    cuda::copy(gpu_->numbers.as<std::byte>() + offset, t.data, t.bytes(),
               stream());
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
  for_each_number(*p.body, [&](Tensor t, std::size_t offset) {
    if (gpu_) t.data = gpu_->numbers.as<std::byte>() + offset;
    if (i == 0)
      result.total = static_cast<double>(*t.f32());
    else
      result.readings.add(p.body->numbers()[i].first, t);
    ++i;
  });
  return result;
}

StepOutcome TrainingStep::forward_backward(const void* pixels,
                                           std::int64_t samples,
                                           const int* labels) {
  Prepared& p = prepared(samples);
  MUSIC_CHECK(labels || p.body->label_bytes() == 0,
              "[step] forward_backward() without labels");
  if (!gpu_) {
    p.body->set_batch(pixels, labels);
    queue(p, false);
    return outcome(p);
  }
  void* stream = gpu_->compute.get();
  upload_batch(*p.body, gpu_->input, pixels, labels, stream);
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
  return prepared_.at({samples, 0}).body->executable();
}

}  // namespace music
