#include "tools/linear_cached.h"

#include <omp.h>
#include <spdlog/spdlog.h>

#include "music/eval/cached_probe.h"
#include "music/eval/eval_data.h"
#include "music/eval/shared_features.h"
#include "music/model/encoder_import.h"
#include "music/train/run_identity.h"
#include "music/train/trainer.h"

namespace music {
namespace {

// Those that are held out are chosen class by class here.
std::unique_ptr<data::Dataset> training_images(Config config) {
  config.data.holdout = 0;
  return open_training_data(config);
}

}  // namespace

void refuse_training_flags(const ResolvedConfig& config) {
  for (const auto& [key, origin] : config.origins) {
    const bool training =
        key.starts_with("optim.") || key == "train.epochs" ||
        key == "train.batch" || key == "train.micro_batch" ||
        key == "train.score_every" || key == "train.checkpoint_every" ||
        (key.starts_with("augment.") && key != "augment.size" &&
         key != "augment.mean" && key != "augment.std" && key != "augment.pillow");
    if (training && origin == "flag")
      throw error(ExitCode::kUsage,
                  "[linear] {} would have no effect: --cached trains nothing; "
                  "expected one or the other", key);
  }
}

double cached_share(const Config& config) {
  if (config.data.holdout == 0) return CachedProbeSpec().held_out;
  const std::int64_t all = training_images(config)->size();
  if (config.data.holdout >= all)
    throw error(ExitCode::kUsage,
                "[data] data.holdout of {} images from {}: expected fewer",
                config.data.holdout, all);
  return static_cast<double>(config.data.holdout) / static_cast<double>(all);
}

CachedScore score_cached(const Config& c, const std::filesystem::path& weights,
                         std::uint64_t seed, dist::Communicator& communicator) {
  const std::string& path = c.data.eval_test.empty() ? c.data.path
                                                     : c.data.eval_test;
  const EvalData eval = open_eval_data(c.data.path, path, c.data.format, "--data.eval_test");
  const auto train = training_images(c);
  const Compute compute = choose_compute(c.train, communicator);
  const dist::Threads threads =
      dist::choose_threads(communicator, c.train.threads, c.data.workers);
  omp_set_num_threads(threads.compute);
  FeatureSpec spec;
  spec.eval = eval_spec_of(c);
  spec.pixels = c.pixels;
  spec.workers = threads.loader;
  spec.rank = communicator.rank(), spec.world = communicator.size();
  const auto& method = c.method.of<Supervised>();
  if (method.features == SupervisedSettings::Features::kRes5)
    spec.kind = FeatureKind::kRes5;

  Model model({.encoder = c.model.encoder},
              ParameterStorage{.device = compute.device,
                               .compute = compute.dtype});
  model.allocate();
  model.parameters().initialise(seed);
  if (!weights.empty()) {
    HostParameters parameters(model.parameters());
    open_encoder_file(weights).load_into(*parameters, Model::kEncoder);
    parameters.write_back();
  }
  const auto features = [&](const data::Dataset& images) {
    return gather(extract_features(model, images, spec), communicator);
  };
  const Features known = features(*train), asked = features(*eval.test);
  for (const auto& [f, images, which] :
       {std::tuple(&known, train.get(), "training"),
        std::tuple(&asked, eval.test.get(), "test")})
    if (f->count == 0)
      throw error(ExitCode::kData, "[linear] no {} image is left: {}", which,
                  describe(f->left_out, images->size(), which));
  if (communicator.rank() != 0) return {};
  CachedProbeSpec solving;
  solving.decays = method.decays;
  solving.held_out = cached_share(c), solving.seed = seed;
  const CachedProbe probe = cached_probe(known, asked, eval.classes, solving);
  for (const auto& tried : probe.tried)
    spdlog::info("[linear] weight decay {:.3g}: top-1 {:.2f} % of {} held-out "
                 "images, {} steps, {:.1f} s", tried.decay, tried.held_out.top1,
                 probe.held_out, tried.steps, tried.seconds);
  if (!probe.fit.converged)
    throw error(ExitCode::kNumerical,
                "[linear] the optimum was not reached: expected larger weight "
                "decays (--wd)");
  CachedScore score;
  score.train_left_out = known.left_out;
  score.test = {asked.count, asked.left_out,
                {{"", probe.test.top1, probe.test.top5, probe.test.loss}}};
  score.notes = {
      "cached features, no augmentation, the optimum: a protocol of ours, not "
      "that of published numbers",
      fmt::format("weight decay {:.3g} (scikit-learn's C {:.3g}) of {} by {} "
                  "held-out training images, then solved on all {}: {} steps, "
                  "cross-entropy {:.4f}", probe.decay, probe.inverse_decay,
                  probe.tried.size(), probe.held_out, known.count,
                  probe.fit.steps, probe.fit.loss)};
  score.notes.insert(score.notes.end(), probe.notes.begin(), probe.notes.end());
  return score;
}

}  // namespace music
