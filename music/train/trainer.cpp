#include "music/train/trainer.h"

#include <omp.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "dist/device_communicator.h"
#include "dist/text.h"
#include "engine/core/device_runtime.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "engine/io/outage.h"
#include "layers/projector.h"
#include "music/files/run_directory.h"
#include "music/model/encoder_import.h"
#include "music/plan/memory_plan.h"

namespace music {
namespace {

// More steps in a row without a finite gradient than this end the run.
constexpr std::int64_t kMostSkipped = 10;

// Calls fn(key, tensor) for everything a checkpoint holds.
template <typename F>
void for_each_state(const Parameters& p, F&& fn) {
  for (int i = 0; i < static_cast<int>(p.table().size()); ++i) {
    const std::string& name = p.table()[static_cast<std::size_t>(i)].name;
    fn("value/" + name, p.value(i));
    fn("momentum/" + name, p.momentum(i));
    if (p.has_target()) fn("target/" + name, p.target(i));
  }
  for (int i = 0; i < static_cast<int>(p.buffers().size()); ++i)
    fn("buffer/" + p.buffers()[static_cast<std::size_t>(i)].name, p.buffer(i));
}

void require_labels(const data::Dataset& dataset) {
  if (dataset.classes().size() < 2)
    throw error(ExitCode::kUsage,
                "[train] classes among the labels of the data: {}, expected at least 2",
                dataset.classes().size());
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    if (dataset.label(i) < 0)
      throw error(ExitCode::kUsage, "[train] {} has no label: expected one for "
                  "every image, by class sub-folders, a list with class numbers, "
                  "or KEY.cls in shards", dataset.name(i));
}

}  // namespace

ModelSpec model_spec(const Config& config, std::int64_t classes) {
  if (classes == 0 && needs_of(config.method).labels) classes = 1000;
  return {.encoder = config.model.encoder,
          .projector = parse_projector(config.model.projector),
          .method = config.method,
          .samples = config.train.batch,
          .classes = classes};
}

TrainingStepSpec training_step_spec(const Config& config) {
  return {.image_size = config.augment.size,
          .pixels = config.pixels,
          .optimizer = config.optim.optimizer,
          .micro_batch = config.train.micro_batch};
}

Compute choose_compute(const TrainConfig& config,
                       const dist::Communicator& communicator) {
  // A launcher may have left each process one GPU to see.
  const int devices = std::max(1, cuda::device_count());
  return choose_compute(config.device, config.precision,
                        communicator.local_rank() % devices);
}

Trainer::Trainer(const Config& config, const data::Dataset& dataset,
                 dist::Communicator& communicator)
    : config_(config),
      communicator_(communicator),
      needs_(needs_of(config.method)),
      compute_(choose_compute(config.train, communicator)),
      threads_(dist::choose_threads(communicator, config.train.threads,
                                    config.data.workers)) {
  const std::int64_t batch = config.train.batch;
  if (batch > dataset.size())
    throw error(ExitCode::kUsage,
                "[train] batch of {} samples from a data set of {} images: "
                "expected at most {}", batch, dataset.size(), dataset.size());
  if (needs_.labels) require_labels(dataset);
  omp_set_num_threads(threads_.compute);
  model_ = std::make_unique<Model>(
      model_spec(config, static_cast<std::int64_t>(dataset.classes().size())),
      ParameterStorage{.training = true,
                       .device = compute_.device,
                       .compute = compute_.dtype});
  // A GPU says so before the first byte; the CPU may swap.
  if (compute_.device == Device::kCuda)
    require_memory(model_->spec(), training_step_spec(config),
                   (batch + communicator.size() - 1) / communicator.size(),
                   compute_, available_memory(compute_.device),
                   communicator.size());

  data::LoaderSpec loading;
  loading.augment = config.augment;
  loading.views = needs_.views;
  loading.batch = batch;
  loading.drop_last = needs_.full_batches;
  loading.seed = config.train.seed;
  loading.workers = threads_.loader;
  if (compute_.device == Device::kCuda) loading.memory = Memory::kPinned;
  loading.rank = communicator.rank();
  loading.world = communicator.size();
  loading.bad_image = config.data.bad_image;
  loading.bad_share = config.data.bad_max;
  loader_ = std::make_unique<data::Loader>(dataset, loading);
  steps_per_epoch_ = loader_->batches_per_epoch();

  ScheduleSpec schedule = config.optim.schedule;
  schedule.batch = batch;
  schedule_ = Schedule(schedule, steps_per_epoch_, config.train.epochs);

  model_->allocate();
  model_->parameters().initialise(config.train.seed);
  if (!config.model.weights.empty()) start_from(config.model.weights);
  training_step_ = std::make_unique<TrainingStep>(
      *model_, training_step_spec(config),
      std::vector<std::int64_t>{loader_->batch_total(0),
                                loader_->batch_total(steps_per_epoch_ - 1)},
      executable_options_from_environment(), &exchange());
}

void Trainer::start_from(const std::string& path) {
  EncoderWeights weights;
  try {
    weights = open_encoder_file(path);
  } catch (const Error&) {
    // A run that goes on has its weights in the checkpoint.
    if (config_.train.resume != Resume::kNever &&
        RunDirectory::has_checkpoint(config_.train.out))
      return;
    throw;
  }
  HostParameters parameters(model_->parameters());
  weights.load_into(*parameters, Model::kEncoder);
  log_report(weights);
  parameters.write_back();
  weights_ = weights.digest.xxh3_128;
  batches_before_ = weights.batches;
}

// What the step's tensors travel by.
dist::Communicator& Trainer::exchange() {
  if (communicator_.size() == 1 || compute_.device == Device::kCpu)
    return communicator_;
  const Exchange wanted = config_.train.exchange;
  const bool nccl = wanted == Exchange::kNccl ||
                    (wanted == Exchange::kAuto && dist::have_nccl());
  if (nccl) {
    const auto devices =
        dist::all_gather_text(communicator_, cuda::device_info().id);
    for (std::size_t r = 0; r < devices.size(); ++r)
      for (std::size_t s = 0; s < r; ++s)
        if (devices[r] == devices[s])
          throw error(ExitCode::kUsage,
                      "[train] ranks {} and {} share a GPU: expected one each, "
                      "or --exchange host", s, r);
  }
  between_devices_ = nccl ? dist::make_nccl_communicator(communicator_)
                          : dist::make_staged_communicator(communicator_);
  return *between_devices_;
}

void Trainer::fetch() {
  communicator_.activity().stage("data");
  const dist::Timeline::Scope scope(timeline_, dist::Timeline::Lane::kInput,
                                    "wait for images", "input");
  const data::Batch& batch = loader_->next();
  next_.epoch = batch.epoch;
  next_.batch = batch.index;
  next_.samples = batch.total;
  training_step_->stage(batch.pixels.data, next_.samples, batch.labels.data());
  fetched_ = true;
}

void Trainer::trace(dist::Timeline* timeline) {
  timeline_ = timeline;
  communicator_.record(timeline);
  training_step_->trace(timeline);
}

StepReport Trainer::step() {
  if (!fetched_) fetch();
  StepReport report = next_;
  report.step = step_;
  report.rate = schedule_.rate(step_);
  communicator_.activity().stage("step");
  const Method& method = model_->method();
  const Position position{step_, schedule_.total_steps, steps_per_epoch_,
                          schedule_.peak, schedule_.share(step_)};
  const UpdateKnobs knobs = method.knobs(position, report.rate);
  report.rate = rate_of(knobs, report.rate);
  training_step_->submit(knobs, method.phase(position));
  fetched_ = false;
  ++step_;
  if (training_step_->copies_ahead() && !done()) {
    training_step_->wait_staged();  // the loader re-uses the batch's memory
    try {
      fetch();
    } catch (const StorageError& e) {  // the next step says so
      if (e.code() != ExitCode::kUnavailable) throw;
    }
    communicator_.activity().stage("step");
  }
  report.outcome = training_step_->finish();
  if (report.outcome.applied) {
    skipped_in_a_row_ = 0;
  } else {
    ++skipped_;
    // An overflow of scaled gradients is mended by the scale, which has fallen.
    if (report.outcome.loss_scale > 1 &&
        std::isfinite(report.outcome.total))
      return report;
    if (++skipped_in_a_row_ > kMostSkipped)
      throw error(ExitCode::kNumerical,
                  "[train] {} steps in a row up to step {} had a loss or "
                  "gradient that is not finite; the checkpoints before them "
                  "stand: lower optim.base_lr (now {}) or lengthen the warm-up, in "
                  "a new train.out", skipped_in_a_row_, report.step,
                  config_.optim.schedule.base_lr);
  }
  return report;
}

// What a run is beside its tensors. The one list of it: checkpoints keep it by
// name (but for step, which they have a field for), rank 0 sends it to the
// others.
struct Trainer::Scalars {
  std::int64_t step = 0, skipped = 0, skipped_in_a_row = 0;
  float loss_scale = 1;
  std::int32_t good_steps = 0;

  template <typename F>
  void visit(F&& fn) {
    fn("skipped_steps", skipped);
    fn("skipped_in_a_row", skipped_in_a_row);
    fn("loss_scale", loss_scale);
    fn("good_steps", good_steps);
  }
};

Trainer::Scalars Trainer::scalars() const {
  const UpdateState update = training_step_->update_state();
  return {step_, skipped_, skipped_in_a_row_, update.loss_scale,
          update.good_steps};
}

void Trainer::set_scalars(const Scalars& s) {
  step_ = s.step, skipped_ = s.skipped, skipped_in_a_row_ = s.skipped_in_a_row;
  UpdateState update = training_step_->update_state();
  update.loss_scale = s.loss_scale, update.good_steps = s.good_steps;
  training_step_->set_update_state(update);
}

CheckpointState Trainer::state() const {
  CheckpointState s;
  s.step = step_;
  s.epoch = step_ / steps_per_epoch_;
  s.batch = step_ % steps_per_epoch_;
  s.seed = config_.train.seed;
  s.config_hash = config_hash(config_);
  Scalars scalars = this->scalars();
  scalars.visit([&](const char* name, const auto& value) {
    s.extra[name] = fmt::format("{}", value);
  });
  if (batches_before_ > 0)
    s.extra["batches_before"] = std::to_string(batches_before_);
  return s;
}

std::vector<TensorEntry> Trainer::tensors() {
  std::vector<TensorEntry> entries;
  saved_ = std::make_unique<HostParameters>(model_->parameters());
  for_each_state(**saved_, [&](std::string name, const Tensor& t) {
    entries.push_back(tensor_entry(std::move(name), t));
  });
  return entries;
}

std::vector<TensorEntry> Trainer::tensors_before_step() {
  std::vector<TensorEntry> entries = tensors();
  for (const ParameterInfo& b : model_->parameters().buffers()) {
    const std::string name = "buffer/" + b.name;
    std::ranges::find(entries, name, &TensorEntry::name)->data =
        tensor_entry(name, training_step_->kept().kept(b)).data;
  }
  return entries;
}

void Trainer::restore(const Checkpoint& checkpoint,
                      std::span<const std::int64_t> bad_images) {
  HostParameters parameters(model_->parameters());
  for_each_state(*parameters, [&](const std::string& name, Tensor t) {
    const TensorEntry* entry = checkpoint.find(name);
    if (!entry || entry->dtype != t.dtype || entry->data.size() != t.bytes())
      throw error(ExitCode::kNoCheckpoint,
                  "[train] {}: tensor {} is {}, expected {} bytes of {}",
                  checkpoint.directory.string(), name,
                  entry ? fmt::format("{} bytes of {}", entry->data.size(),
                                      name_of(entry->dtype))
                        : "missing",
                  t.bytes(), name_of(t.dtype));
    std::memcpy(t.data, entry->data.data(), entry->data.size());
  });
  parameters.write_back();
  Scalars scalars;
  scalars.step = checkpoint.state.step;
  scalars.loss_scale = this->scalars().loss_scale;
  // A value that the checkpoint does not have stays.
  const auto read = [&](const char* name, auto& value) {
    const auto it = checkpoint.state.extra.find(name);
    if (it == checkpoint.state.extra.end()) return;
    const std::string& text = it->second;
    const char* end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, value);
    if (problem != std::errc() || rest != end)
      throw error(ExitCode::kNoCheckpoint,
                  "[train] {}: {} is {}, expected a number",
                  checkpoint.directory.string(), name, in_quotes(text));
  };
  scalars.visit(read);
  read("batches_before", batches_before_);
  set_scalars(scalars);
  known_bad_.assign(bad_images.begin(), bad_images.end());
  seek();
}

void Trainer::seek() {
  fetched_ = false;
  loader_->recall(known_bad_);
  loader_->seek(step_ / steps_per_epoch_, step_ % steps_per_epoch_);
}

void Trainer::follow_first_rank() {
  if (communicator_.size() == 1) return;
  Scalars scalars = this->scalars();
  communicator_.broadcast({&scalars, Shape{sizeof scalars}, DType::kU8});
  auto bad = static_cast<std::int64_t>(known_bad_.size());
  communicator_.broadcast({&bad, Shape{1}, DType::kI64});
  known_bad_.resize(static_cast<std::size_t>(bad));
  communicator_.broadcast({known_bad_.data(), Shape{bad}, DType::kI64});
  if (scalars.step == 0) return;  // initial values are drawn alike
  HostParameters parameters(model_->parameters());
  for_each_state(*parameters, [&](const std::string&, Tensor t) {
    communicator_.broadcast(t);
  });
  if (communicator_.rank() == 0) return;
  parameters.write_back();
  set_scalars(scalars);
  seek();
}

void Trainer::compare_weights() {
  if (communicator_.size() == 1) return;
  Xxh3 hash;
  HostParameters parameters(model_->parameters());
  for_each_state(*parameters, [&](const std::string&, Tensor t) {
    hash.update({static_cast<const std::byte*>(t.data), t.bytes()});
  });
  const std::pair<std::string, std::string> weights[] = {
      {fmt::format("weights after step {}", step_), hash.digest().xxh3_128}};
  dist::require_agreement(communicator_, weights, ExitCode::kNumerical);
}

}  // namespace music
