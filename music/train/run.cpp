#include "music/train/run.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <thread>

#include "dist/text.h"
#include "dist/watchdog.h"
#include "engine/core/counted.h"
#include "engine/core/log.h"
#include "engine/io/file.h"
#include "engine/io/outage.h"
#include "music/files/build_info.h"
#include "music/train/boundary_save.h"
#include "music/train/classifier_scores.h"
#include "music/train/content_sample.h"
#include "music/train/describe_run.h"
#include "music/train/frozen_encoder.h"
#include "music/train/goes_on.h"
#include "music/train/health_line.h"
#include "music/train/interrupt.h"
#include "music/train/run_files.h"
#include "music/train/run_identity.h"
#include "music/train/run_score.h"
#include "music/train/saves.h"
#include "music/train/step_trace.h"

namespace music {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Run {
 public:
  Run(const ResolvedConfig& config, const std::vector<std::string>& argv,
      dist::Communicator& communicator,
      const std::function<void(const RunProgress&)>& observe)
      : config_(config.value),
        argv_(argv),
        observe_(observe),
        communicator_(communicator),
        dataset_((set_outage_limit(config_.train.outage),
                  open_training_data(config_))),
        fingerprint_(agreed_fingerprint(config_, *dataset_, communicator_)),
        trainer_(config_, *dataset_, communicator_) {
    if (config_.train.score_every > 0)
      classifier_.emplace(config_, communicator_);
    if (communicator_.rank() != 0) return;
    if (config_.train.knn_every > 0) score_.emplace(config_);
    files_.emplace(config, argv, trainer_.threads());
  }

  int train();

 private:
  void start_logs();
  void resume();
  int share_news();
  void save_if_due();
  CheckpointState state() const;
  void write(const CheckpointState& state, const std::vector<TensorEntry>& tensors);
  void save_boundary();
  void score();
  void score_classifier();
  void score_what_lacks();
  bool knn_due() const;
  bool classifier_due() const;
  std::map<std::string, std::string> provenance() const;

  const Config config_;
  const std::vector<std::string>& argv_;
  const std::function<void(const RunProgress&)>& observe_;
  dist::Communicator& communicator_;
  std::unique_ptr<data::Dataset> dataset_;
  std::string fingerprint_;  // of the data set
  std::string content_;      // rank 0: of some of its images
  Trainer trainer_;
  std::optional<RunFiles> files_;     // rank 0
  std::optional<RunScore> score_;     // rank 0, where asked for
  std::optional<RunClassifier> classifier_;  // where asked for
  std::size_t bad_seen_ = 0;       // of this rank's loader
  std::unique_ptr<dist::Watchdog> watchdog_;
  Clock::time_point start_;
  GoesOn identity_;  // rank 0
  const std::string settings_ = deciding_settings(config_);
  std::int64_t saved_step_ = -1;
  CheckpointState boundary_;  // before the step that runs
  Saves saves_{[this] { write(state(), trainer_.tensors()); }};
};

// Output of ranks other than 0 goes to their files; all are watched.
void Run::start_logs() {
  const int rank = communicator_.rank(), size = communicator_.size();
  const auto logs = std::filesystem::path(config_.train.out) / "logs";
  std::error_code ignored;  // opening the file will say it
  if (files_) std::filesystem::create_directories(logs, ignored);
  communicator_.barrier();
  setup_logging(config_.train.log_level, rank, size,
                (logs / fmt::format("rank-{:04}.log", rank)).string());
  if (size > 1 && config_.train.watchdog > 0)
    watchdog_ = std::make_unique<dist::Watchdog>(
        communicator_.activity(),
        dist::WatchdogSpec{.limit = config_.train.watchdog, .rank = rank,
                           .size = size, .directory = logs});
}

// On rank 0; the others follow.
void Run::resume() {
  content_ = content_sample(*dataset_);
  const auto checkpoint = load_latest_checkpoint(files_->directory.checkpoints());
  if (!checkpoint) {
    if (config_.train.resume == Resume::kRequire)
      throw error(ExitCode::kNoCheckpoint,
                  "[run] {} has no checkpoint to resume from",
                  files_->directory.path().string());
    files_->metrics.truncate_to(0);
    files_->metrics.write(metrics_header(config_, argv_));
    identity_ = {.run_id = config_hash(config_), .weights = trainer_.weights()};
    return;
  }
  const CheckpointState& s = checkpoint->state;
  // An earlier start may have extended the run and not come to a checkpoint.
  identity_ = goes_on(*checkpoint, config_,
                      config_.train.resume == Resume::kExtend ||
                          files_->directory.continues(),
                      fingerprint_, trainer_.weights());
  if (const auto was = s.extra.find("content"); was != s.extra.end())
    warn_of_changes(was->second, content_, *dataset_, checkpoint->directory);
  trainer_.restore(*checkpoint, files_->quarantine.samples());
  if (files_->metrics.bytes() < s.metrics_bytes)
    spdlog::warn("[run] {} has {} bytes, the checkpoint knows of {}: steps before "
                 "{} are missing there", files_->directory.metrics().string(),
                 files_->metrics.bytes(), s.metrics_bytes, s.step);
  files_->metrics.truncate_to(s.metrics_bytes);
  if (files_->metrics.bytes() == 0)
    files_->metrics.write(metrics_header(config_, argv_));
  spdlog::info("[run] goes on at step {} of {} from {}", s.step,
               trainer_.total_steps(), checkpoint->directory.string());
  if (identity_.epochs_before) {
    spdlog::info("[run] {}", describe_extension(identity_, trainer_));
    saves_.attempt();  // from here on it is a run of so many epochs
  } else if (trainer_.done()) {
    spdlog::info("[run] has had its {}; --extend with more --epochs goes on",
                 counted(config_.train.epochs, "epoch"));
  }
}

// Bad images to rank 0, and an error where all ranks have too many; the signal
// that one of the ranks has had, or 0, to all, so that they stop after the same
// step.
int Run::share_news() {
  const data::Loader& loader = trainer_.loader();
  const std::string bad = quarantine_news(loader, bad_seen_);
  // The signal, whether there are news, bad images of each rank.
  std::vector<std::int64_t> news(2 + static_cast<std::size_t>(communicator_.size()));
  news[0] = InterruptGuard::pending();
  news[1] = bad.empty() ? 0 : 1;
  news[2 + static_cast<std::size_t>(communicator_.rank())] =
      loader.bad_in_epoch();
  communicator_.all_reduce({news.data(), Shape{std::ssize(news)}, DType::kI64},
                           dist::Reduction::kMax);
  if (news[1] != 0) {
    const auto lines =
        quarantine_lines(dist::all_gather_text(communicator_, bad));
    if (files_) files_->quarantine.add(lines);
  }
  data::check_bad(std::accumulate(news.begin() + 2, news.end(), std::int64_t{0}),
                  loader.samples_per_epoch(), config_.data.bad_max);
  return static_cast<int>(news[0]);
}

void Run::save_if_due() {
  const std::int64_t every = config_.train.checkpoint_every > 0
                                 ? config_.train.checkpoint_every
                                 : trainer_.steps_per_epoch();
  if (trainer_.done() || trainer_.steps_done() % every == 0) {
    communicator_.activity().stage("checkpoint");
    trainer_.compare_weights();
    saves_.ask();
  }
  if (files_) saves_.if_due();
}

// On rank 0, between steps.
CheckpointState Run::state() const {
  CheckpointState state = trainer_.state();
  // The hash of the configuration it began with tells runs apart.
  state.run_id = identity_.run_id;
  state.code_version = build_info().describe();
  state.metrics_bytes = files_->metrics.bytes();
  state.world_size = communicator_.size();
  state.extra["data"] = fingerprint_;
  state.extra["content"] = content_;
  state.extra["weights"] = identity_.weights;
  if (!identity_.extended.empty()) state.extra["extended"] = identity_.extended;
  state.extra["settings"] = settings_;
  state.extra["seconds"] =
      fmt::format("{:.3f}", identity_.seconds + seconds_since(start_));
  return state;
}

void Run::write(const CheckpointState& state,
                const std::vector<TensorEntry>& tensors) {
  const RunDirectory& directory = files_->directory;
  const CheckpointOwner owner{.token = directory.token(),
                              .sole = directory.locked(),
                              .require = [&] { directory.require_owned(); }};
  try {
    save_checkpoint(directory.checkpoints(), state, tensors, config_.train.keep,
                    owner);
  } catch (const StorageError&) {
    directory.require_owned();  // that would be why
    throw;
  }
  saved_step_ = state.step;
}

// In the middle of a step.
void Run::save_boundary() {
  if (boundary_.step == saved_step_) return;
  write(boundary_, trainer_.tensors_before_step());
  spdlog::warn("[run] saved the state after step {} while the next one runs",
               boundary_.step);
}

// On rank 0; the others wait.
void Run::score() {
  communicator_.activity().stage("evaluation", 20);
  if (score_)
    score_->record(trainer_, *files_, config_);
  communicator_.barrier();
}

// Of a run that ended between a checkpoint and its scores.
void Run::score_what_lacks() {
  const bool lacks = !score_ || RunScore::lacks(trainer_, *files_);
  if (knn_due()) {
    if (lacks) score();
    else communicator_.barrier();
  }
  if (classifier_due() &&
      classifier_->lacks(trainer_, files_ ? &*files_ : nullptr))
    score_classifier();
}

void Run::score_classifier() {
  communicator_.activity().stage("evaluation", 20);
  try {
    classifier_->record(trainer_, files_ ? &*files_ : nullptr);
  } catch (const Error& e) {  // the scores were made, on all ranks
    if (e.code() != ExitCode::kDiskFull) throw;
    spdlog::warn("{}; training goes on", e.what());
  }
}

bool Run::knn_due() const {
  const std::int64_t every = config_.train.knn_every * trainer_.steps_per_epoch();
  return every > 0 && trainer_.steps_done() > 0 &&
         trainer_.steps_done() % every == 0;
}

// After the step that was last done.
bool Run::classifier_due() const {
  if (!classifier_ || trainer_.steps_done() == 0 ||
      trainer_.steps_done() % trainer_.steps_per_epoch() != 0)
    return false;
  const std::int64_t epoch = trainer_.steps_done() / trainer_.steps_per_epoch();
  return trainer_.done() || epoch % config_.train.score_every == 0;
}

std::map<std::string, std::string> Run::provenance() const {
  return {{"music_version", build_info().describe()},
          {"config_hash", config_hash(config_)},
          {"step", std::to_string(trainer_.steps_done())},
          {"epoch", std::to_string(config_.train.epochs)}};
}

int Run::train() {
  start_logs();
  start_ = Clock::now();
  if (files_) resume();
  trainer_.follow_first_rank();
  if (trainer_.steps_done() == 0) {
    const std::pair<std::string, std::string> file[] = {
        {"the file of model.weights", trainer_.weights()}};
    dist::require_agreement(communicator_, file);
  }
  describe_run(config_, *dataset_, communicator_, trainer_);
  const std::string frozen = frozen_encoder(trainer_);
  if (files_)
    files_->tensorboard = std::make_unique<TensorBoardWriter>(
        files_->directory.tensorboard(), trainer_.steps_done());
  HealthLine health;
  RunProgress progress;
  progress.total_steps = trainer_.total_steps();
  progress.steps_per_epoch = trainer_.steps_per_epoch();
  progress.epochs = config_.train.epochs;
  const Method& method = trainer_.model().method();
  const std::int64_t views = needs_of(config_.method).views;
  progress.legend = method.legend();
  score_what_lacks();
  StepTrace trace(config_.train.trace, trainer_, communicator_);
  InterruptGuard interrupts;
  std::optional<BoundarySave> in_step;
  if (files_ && trainer_.compute().device == Device::kCpu) {
    in_step.emplace([this] { save_boundary(); });
    trainer_.when_still([&](bool still) {
      if (!still) return in_step->end();
      boundary_ = state();
      in_step->begin();
    });
  }
  while (!trainer_.done()) {
    trace.next_step();
    const Clock::time_point before = Clock::now();
    try {
      progress.step = trainer_.step();
    } catch (const StorageError& e) {  // no images: nothing has moved
      if (e.code() == ExitCode::kUnavailable && files_ && trainer_.steps_done() > 0) {
        communicator_.activity().stage("checkpoint");
        saves_.soon();
        spdlog::warn("[run] saved after step {}; the same command goes on from "
                     "there", trainer_.steps_done());
      }
      throw;
    }
    const double took = seconds_since(before);
    const double waited = trainer_.loader().stats().wait_seconds;
    const std::int64_t n = progress.step.samples;
    progress.report = method.report(progress.step.outcome.readings,
                                    progress.step.outcome.total, n);
    progress.views += views * n;
    const int signal = share_news();
    if (files_)
      files_->record({.step = progress.step,
                      .report = progress.report,
                      .seconds = identity_.seconds + seconds_since(start_),
                      .images_per_second = static_cast<double>(n) / took,
                      .data_wait = (waited - progress.data_wait) / took,
                      .skipped_steps = trainer_.skipped_steps()});
    progress.data_wait = waited;
    observe_(progress);
    if (!progress.step.outcome.applied)
      spdlog::warn("[run] step {}: loss or gradient not finite, update skipped",
                   progress.step.step);

    const bool epoch_end =
        trainer_.steps_done() % trainer_.steps_per_epoch() == 0;
    const std::int64_t epoch = trainer_.steps_done() / trainer_.steps_per_epoch();
    const std::string& verdict = progress.report.verdict;
    if (epoch_end && health.is_due(verdict, trainer_.done()))
      spdlog::info("[health] epoch {}: {}", epoch, verdict);
    if (epoch_end) require_unchanged(trainer_, frozen);
    save_if_due();
    if (knn_due()) score();
    if (classifier_due()) score_classifier();
    if (signal && !trainer_.done()) {
      communicator_.activity().stage("checkpoint");
      if (files_) saves_.soon();
      say_outages();
      spdlog::info("[run] {}: saved after step {}; the same command goes on "
                   "from there", signal_name(signal), trainer_.steps_done());
      return exit_code_of(signal);
    }
  }
  trace.finish();
  if (!files_) return 0;
  communicator_.activity().stage("checkpoint");
  saves_.at_last();
  const auto& directory = files_->directory;
  directory.require_owned();
  say_outages();
  trainer_.save_weights(directory.path(), provenance());
  spdlog::info("[run] done: {}", directory.file("encoder.safetensors").string());
  return 0;
}

}  // namespace

int run_training(const ResolvedConfig& config,
                 const std::vector<std::string>& argv,
                 dist::Communicator& communicator,
                 const std::function<void(const RunProgress&)>& observe) {
  return Run(settled(config, communicator), argv, communicator, observe)
      .train();
}

}  // namespace music
