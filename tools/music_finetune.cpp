// music_finetune: trains an encoder and a classifier on few labels, and scores
// them on the test images, beside chance and the same from random weights.

#include <chrono>
#include <filesystem>

#include "data/label_subset.h"
#include "engine/core/log.h"
#include "music/eval/eval_data.h"
#include "music/files/quarantine.h"
#include "music/model/encoder_import.h"
#include "music/train/classifier_scores.h"
#include "music/train/run_identity.h"
#include "tools/cli.h"
#include "tools/score_report.h"
#include "tools/training_cli.h"

namespace {

using namespace music;

// More training images than this, and the run from random weights, which takes as
// long again, is for those who ask.
constexpr std::int64_t kFewImages = 100'000;
constexpr const char* kTestFlag = "--data.eval_test";

struct Options {
  std::string encoder;
  std::string random = "auto";
  int seeds = 1;
  bool json = false;

  bool is_run() const { return std::filesystem::is_directory(encoder); }
  std::filesystem::path file() const {
    const std::filesystem::path path(encoder);
    return is_run() ? path / "encoder.safetensors" : path;
  }
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("encoder", o.encoder,
                 "a run directory, or a .safetensors of any origin: torchvision, "
                 "timm, VICReg, ...")->required();
  app.add_option("--seeds", o.seeds,
                 "train so many times, with seeds from train.seed on, each with "
                 "labels of its own where they are drawn: mean and deviation")
      ->check(CLI::Range(1, 1000));
  app.add_option("--random-init", o.random,
                 "train from random weights too, which shows what the encoder is "
                 "worth and takes as long as a seed; auto: up to 100,000 training "
                 "images")->check(CLI::IsMember({"auto", "yes", "no"}));
  app.add_flag("--json", o.json, "print one JSON object");
}

// The preset that is for about so many labels.
std::string preset_for(const std::string& labels) {
  if (labels.empty()) return "finetune-1pct";
  const auto choice = data::parse_label_choice(labels);
  return choice.kind == data::LabelChoice::Kind::kShare && choice.share >= 0.05
             ? "finetune-10pct"
             : "finetune-1pct";
}

// What the encoder's file says, and the preset by the labels.
void add_known(ConfigSources& sources, const Options& o) {
  const std::string path = o.file().string();
  const EncoderInfo info = open_encoder_file(path).info;
  // Any of the presets, to know the labels.
  sources.known = {{"train.preset", preset_for(""), "by data.labels"}};
  sources.known[0].text = preset_for(resolve(sources).value.data.labels);
  std::optional<std::filesystem::path> out;
  if (o.is_run()) out = std::filesystem::path(o.encoder) / "eval" / "finetune";
  add_encoder(sources, info, path, out);
}

void check(const Config& c) {
  require(c, {"data.path", "train.out", "data.labels"});
  if (c.data.holdout > 0)
    throw error(ExitCode::kUsage,
                "[finetune] data.holdout is {}, and nothing is chosen by images "
                "held out: expected 0", c.data.holdout);
  if (c.method.name != Supervised::kName)
    throw error(ExitCode::kUsage,
                "[finetune] method.name is {}: expected {}", c.method.name,
                Supervised::kName);
  if (c.method.of<Supervised>().encoder == SupervisedSettings::Encoder::kFrozen)
    throw error(ExitCode::kUsage,
                "[finetune] supervised.encoder is \"frozen\": expected "
                "\"trained\"; a classifier of frozen features is music_linear's");
  if (c.train.score_every == 0)
    throw error(ExitCode::kUsage,
                "[finetune] train.score_every is 0: expected at least 1; the "
                "last epoch is always scored");
}

std::string test_path(const Config& c) {
  return c.data.eval_test.empty() ? c.data.path : c.data.eval_test;
}

// One run of several.
struct Part {
  std::uint64_t seed = 0;
  bool random = false;
  std::string folder() const {
    return fmt::format("{}seed-{}", random ? "random-" : "", seed);
  }
};

ResolvedConfig config_of(ResolvedConfig config, const Part& part) {
  TrainConfig& train = config.value.train;
  train.seed = part.seed;
  train.out = (std::filesystem::path(train.out) / part.folder()).string();
  if (part.random) {
    config.value.model.weights.clear();
    config.origins["model.weights"] = "for comparison";
  }
  return config;
}

ClassifierScores final_scores(const Config& config) {
  const auto epochs = read_classifier_scores(config.train.out);
  MUSIC_CHECK(!epochs.empty() && epochs.back().epoch == config.train.epochs,
              "[finetune] {} has no score of its last epoch", config.train.out);
  return epochs.back().test;
}

Json settings_of(const Config& c, const Compute& compute,
                 const dist::Communicator& communicator) {
  const auto& method = c.method.of<Supervised>();
  const data::EvalSpec eval = eval_spec_of(c);
  const double rate = c.optim.schedule.base_lr *
                      static_cast<double>(c.train.batch) / 256;
  const bool own = method.batch_norm == SupervisedSettings::Statistics::kOwn;
  Json s;
  s["labels"] = std::filesystem::path(c.data.labels).filename().string();
  s["trained"] = "all";
  s["epochs"] = c.train.epochs;
  s["batch"] = c.train.batch;
  // 0.1 * 0.8 is not quite 0.08.
  s["encoder_rate"] = std::stod(fmt::format("{:.9g}", rate * method.encoder_rate));
  s["head_rate"] = std::stod(fmt::format("{:.9g}", rate * method.head_rate));
  s["weight_decay"] = c.optim.optimizer.weight_decay;
  s["batch_norm"] =
      own && communicator.size() > 1
          ? fmt::format("training, statistics of each of {} processes",
                        communicator.size())
          : "training, statistics of the batch";
  s["test"] = fmt::format(
      "resize {} centre-crop {} {}{}", eval.resize, eval.size,
      eval.interpolation == data::Interpolation::kBicubic ? "bicubic" : "bilinear",
      eval.pillow == data::Resampling::kEarlier ? ", of Pillow 12" : "");
  // All that decides but for seeds, encoder and data.
  Config rest = c;
  rest.train.seed = 0;
  rest.model = {};
  rest.data.labels.clear();
  rest.train.precision = precision_of(compute);
  s["configuration"] = config_hash(rest).substr(0, 16);
  return s;
}

// "finetune.1pct", "finetune.10-per-class", "finetune.list"
std::string protocol_id(const std::string& labels) {
  const auto choice = data::parse_label_choice(labels);
  if (choice.kind == data::LabelChoice::Kind::kList) return "finetune.list";
  std::string id = "finetune." + labels;
  if (id.ends_with('%')) id.replace(id.size() - 1, 1, "pct");
  return id;
}

// On rank 0, when all parts are done.
ScoreRecord record_of(const ResolvedConfig& config,
                      const std::vector<Part>& parts, const Options& o,
                      const dist::Communicator& communicator) {
  const Config& c = config.value;
  const Compute compute = choose_compute(c.train, communicator);
  const EvalData eval = open_eval_data(c.data.path, test_path(c), c.data.format,
                                       kTestFlag);
  ScoreRow top1{"top-1"}, top5{"top-5"};
  top1.chance = 100.0 / eval.populated;
  top5.chance = std::min(100.0, 5 * *top1.chance);
  ScoreRecord r;
  LeftOut left_out;
  for (const Part& part : parts) {
    const ClassifierScores scores = final_scores(config_of(config, part).value);
    const ClassifierScore& score = scores.classifiers.at(0);
    if (&part == &parts.front()) left_out = scores.left_out;
    if (part.random) {
      top1.random_initialisation = score.top1;
      top5.random_initialisation = score.top5;
    } else {
      top1.values.push_back(score.top1);
      top5.values.push_back(score.top5);
      r.seeds.push_back(part.seed);
    }
  }
  r.program = "music_finetune";
  r.protocol = protocol_id(c.data.labels);
  r.settings = settings_of(c, compute, communicator);
  r.compute = describe(compute);
  r.processes = communicator.size();
  r.encoder = describe_encoder(open_encoder_file(o.file()));
  r.data["train"] = describe_data(*open_training_data(c), c.data.path);
  r.data["test"] = describe_data(*eval.test, test_path(c));
  r.scores = {top1};
  if (eval.populated > 5) r.scores.push_back(top5);
  r.notes = eval.notes;
  tell_left_out(r, "train", "training",
                read_quarantine(config_of(config, parts.front()).value.train.out));
  tell_left_out(r, "test", "test", left_out);
  r.notes.push_back("the score is the last epoch's; the test images chose nothing");
  if (top1.random_initialisation)
    r.notes.push_back(fmt::format(
        "random init: the same training from weights drawn with seed {}",
        c.train.seed));
  return r;
}

int finetune_main(int argc, char** argv) {
  CLI::App app(
      "Trains an encoder and a classifier on few labels, and scores them.");
  Options o;
  add_options(app, o);
  const ExtendFlag extend(app);
  setup_logging("info");  // warnings of the configuration are no results
  const auto config = configure(app, argc, argv, [&](ConfigSources& sources) {
    extend.add_to(sources);
    add_known(sources, o);
  });
  if (!config) return 0;
  check(config->value);
  std::vector<Part> parts;
  const std::uint64_t first = config->value.train.seed;
  for (int i = 0; i < o.seeds; ++i)
    parts.push_back({first + static_cast<std::uint64_t>(i), false});

  return run_processes(argv, [&](dist::Communicator& communicator) {
    const auto start = std::chrono::steady_clock::now();
    const Config& c = config->value;
    setup_logging(c.train.log_level, communicator.rank(), communicator.size());
    // What is wrong with the data is said before an epoch of it.
    open_eval_data(c.data.path, test_path(c), c.data.format, kTestFlag);
    if (o.random == "yes" ||
        (o.random == "auto" && open_training_data(c)->size() <= kFewImages))
      parts.push_back({first, true});
    for (const Part& part : parts)
      if (const int code = train_with_display(
              config_of(*config, part), {argv, argv + argc}, communicator))
        return code;
    if (communicator.rank() != 0) return 0;
    setup_logging(c.train.log_level);
    ScoreRecord record = record_of(*config, parts, o, communicator);
    record.seconds = std::chrono::duration<double>(
                         std::chrono::steady_clock::now() - start).count();
    report(record, o.json,
           o.is_run() ? std::filesystem::path(o.encoder)
                      : std::filesystem::path(c.train.out));
    return 0;
  });
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_training_main(argc, argv, finetune_main);
}
