// music_linear: trains linear classifiers on a frozen encoder, a grid of rates
// and weight decays in one pass over the data, and scores them.

#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>

#include "engine/core/log.h"
#include "music/config/config_keys.h"
#include "music/eval/eval_data.h"
#include "music/files/quarantine.h"
#include "music/model/encoder_import.h"
#include "music/train/classifier_scores.h"
#include "music/train/run_identity.h"
#include "tools/cli.h"
#include "tools/linear_cached.h"
#include "tools/score_report.h"
#include "tools/training_cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;
using Settings = SupervisedSettings;

constexpr const char* kPreset = "linear-";
constexpr const char* kTestFlag = "--data.eval_test";
// More training images than this, and the probe of random weights, which takes as
// long again, is for those who ask.
constexpr std::int64_t kFewImages = 100'000;

struct Options {
  std::string encoder, rates, random = "auto";
  int seeds = 1;
  bool cached = false, json = false;

  bool is_run() const { return fs::is_directory(encoder); }
  fs::path file() const {
    return is_run() ? fs::path(encoder) / "encoder.safetensors"
                    : fs::path(encoder);
  }
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("encoder", o.encoder,
                 "a run directory, or a .safetensors of any origin: torchvision, "
                 "timm, VICReg, ...")->required();
  app.add_option("--lr", o.rates,
                 "learning rates, of a batch as it is (--supervised.rates); with "
                 "several, and several of --wd, a grid in one pass")
      ->type_name("LIST");
  app.add_flag("--cached", o.cached,
               "no training: features once, without augmentation, and the "
               "classifier solved to its optimum for each of --wd; a protocol of "
               "its own");
  app.add_option("--seeds", o.seeds,
                 "train so many times, with seeds from train.seed on: mean and "
                 "deviation")->check(CLI::Range(1, 1000));
  app.add_option("--random-init", o.random,
                 "train on random weights too, which shows what the encoder is "
                 "worth and takes as long as a seed; auto: up to 100,000 training "
                 "images")->check(CLI::IsMember({"auto", "yes", "no"}));
  app.add_flag("--json", o.json, "print one JSON object");
}

// What the encoder's file says; the protocols by their short names; lists.
void add_known(ConfigSources& sources, const Options& o) {
  const std::string path = o.file().string();
  const EncoderInfo info = open_encoder_file(path).info;
  const bool cifar = info.encoder.stem == Stem::kCifar;
  sources.known.push_back({"train.preset",
                           std::string(kPreset) + (cifar ? "cifar10" : "imagenet"),
                           "by the encoder's stem"});
  std::optional<fs::path> out;
  if (o.is_run()) out = fs::path(o.encoder) / "eval" / "linear";
  add_encoder(sources, info, path, out);
  const auto names = preset_names();
  for (auto& [key, text] : sources.flags) {
    if (key == "train.preset" && std::ranges::count(names, kPreset + text))
      text = kPreset + text;
    // One weight decay or several: of the classifiers.
    if (key == "optim.weight_decay") key = "supervised.decays";
  }
  if (!o.rates.empty()) sources.flags.push_back({"supervised.rates", o.rates});
}

void check(const Config& c, const Options& o) {
  require(c, {"data.path", "train.out"});
  const auto& method = c.method.of<Supervised>();
  if (c.method.name != Supervised::kName ||
      method.encoder != Settings::Encoder::kFrozen)
    throw error(ExitCode::kUsage,
                "[linear] method.name is \"{}\"{}: expected a protocol that trains "
                "a classifier on a frozen encoder, as --preset imagenet, "
                "places205 or cifar10", c.method.name,
                c.method.name == Supervised::kName ? ", its encoder trained" : "");
  if (!o.cached && c.train.score_every == 0)
    throw error(ExitCode::kUsage,
                "[linear] train.score_every is 0: expected at least 1; the last "
                "epoch is always scored");
  if (o.cached && (!o.rates.empty() || o.seeds > 1 ||
                   method.head != Settings::Head::kLinear))
    throw error(ExitCode::kUsage,
                "[linear] --cached solves a linear classifier to its optimum, "
                "found {}: expected neither rates, seeds nor a batch norm",
                !o.rates.empty() ? "--lr"
                : o.seeds > 1    ? "--seeds"
                                 : "supervised.head \"batch_norm\"");
}

std::string test_path(const Config& c) {
  return c.data.eval_test.empty() ? c.data.path : c.data.eval_test;
}

// One run of several.
struct Part {
  std::uint64_t seed = 0;
  bool random = false;
};

ResolvedConfig config_of(ResolvedConfig config, const Part& part) {
  TrainConfig& train = config.value.train;
  train.seed = part.seed;
  train.out = (fs::path(train.out) /
               fmt::format("{}seed-{}", part.random ? "random-" : "", part.seed))
                  .string();
  if (part.random) {
    config.value.model.weights.clear();
    config.origins["model.weights"] = "for comparison";
  }
  return config;
}

// The classifiers' scores at the end of one part.
struct Ending {
  Part part;
  ClassifierScores test;
  std::optional<ClassifierScores> holdout;
  std::vector<std::string> notes;
  LeftOut train_left_out;
};

Ending ending_of(const ResolvedConfig& config, const Part& part) {
  const Config c = config_of(config, part).value;
  const auto epochs = read_classifier_scores(c.train.out);
  MUSIC_CHECK(!epochs.empty() && epochs.back().epoch == c.train.epochs,
              "[linear] {} has no score of its last epoch", c.train.out);
  return {part, epochs.back().test, epochs.back().holdout, {},
          read_quarantine(c.train.out)};
}

// The classifier with the best mean top-1 of the held-out images, or else of the
// test images; the first of equal ones.
std::size_t choose(const std::vector<Ending>& endings, bool random) {
  std::vector<double> sums;
  for (const Ending& e : endings) {
    if (e.part.random != random) continue;
    const auto& by = e.holdout ? *e.holdout : e.test;
    sums.resize(by.classifiers.size());
    for (std::size_t i = 0; i < sums.size(); ++i)
      sums[i] += by.classifiers[i].top1;
  }
  return static_cast<std::size_t>(std::ranges::max_element(sums) - sums.begin());
}

std::string schedule_text(const Config& c) {
  const ScheduleSpec& s = c.optim.schedule;
  std::string text =
      field_text(*find_config_key("optim.schedule"), c).substr(1);
  text.pop_back();
  if (s.kind == ScheduleKind::kSteps)
    text += fmt::format(" x{} at {}", s.factor, fmt::join(s.milestones, ","));
  if (s.warmup_epochs > 0) text += fmt::format(", warm-up {}", s.warmup_epochs);
  return text;
}

Json settings_of(const Config& c, const Options& o, const Compute& compute) {
  const auto& method = c.method.of<Supervised>();
  const data::EvalSpec eval = eval_spec_of(c);
  Json s;
  s["encoder"] = "frozen, evaluation mode";
  s["features"] =
      method.features == Settings::Features::kRes5 ? "res5" : "pooled";
  s["test"] = fmt::format(
      "resize {} centre-crop {} {}{}", eval.resize, eval.size,
      eval.interpolation == data::Interpolation::kBicubic ? "bicubic" : "bilinear",
      eval.pillow == data::Resampling::kEarlier ? ", of Pillow 12" : "");
  if (o.cached) {
    s["classifier"] = "logistic regression at its optimum, no augmentation";
    s["decays"] = method.decays.empty() ? Json("twelve by the features' variance")
                                        : Json(method.decays);
    s["held_out"] = cached_share(c);
  } else {
    s["classifier"] = method.head == Settings::Head::kBatchNorm
                          ? "batch norm, linear" : "linear";
    s["rates"] = method.rates.empty()
                     ? std::vector<double>{c.optim.schedule.base_lr *
                                           static_cast<double>(c.train.batch) /
                                           256}
                     : method.rates;
    s["decays"] = method.decays.empty()
                      ? std::vector<double>{c.optim.optimizer.weight_decay}
                      : method.decays;
    s["epochs"] = c.train.epochs;
    s["batch"] = c.train.batch;
    s["schedule"] = schedule_text(c);
    s["momentum"] = c.optim.optimizer.momentum;
    s["nesterov"] = c.optim.optimizer.nesterov;
    s["crop"] = c.augment.scale;
  }
  if (c.data.holdout > 0 && !o.cached) s["holdout"] = c.data.holdout;
  // All that decides but for seeds, encoder and data.
  Config rest = c;
  rest.train.seed = 0;
  rest.model = {};
  rest.train.precision = precision_of(compute);
  if (!o.cached) s["configuration"] = config_hash(rest).substr(0, 16);
  return s;
}

std::string protocol_id(const Config& c, bool cached) {
  const std::string& preset = c.train.preset;
  return fmt::format("linear{}{}", cached ? "-cached" : "",
                     !cached && preset.starts_with(kPreset)
                         ? "." + preset.substr(std::string(kPreset).size())
                         : "");
}

// The tensors of the chosen classifier, named as of one alone.
void write_best(const Config& run, std::size_t best, const fs::path& to) {
  const auto file =
      SafetensorsFile::open(fs::path(run.train.out) / "classifier.safetensors");
  const std::string prefix = fmt::format("{}.", best);
  std::vector<TensorEntry> entries;
  for (const std::string& name : file.names())
    if (name.starts_with(prefix)) {
      entries.push_back(*file.find(name));
      entries.back().name = name.substr(prefix.size());
    }
  write_safetensors(to, entries, file.metadata());
}

ScoreRecord record_of(const Config& c, const std::vector<Ending>& endings,
                      const Options& o, const dist::Communicator& communicator) {
  const EvalData eval = open_eval_data(c.data.path, test_path(c), c.data.format,
                                       kTestFlag);
  const Compute compute = choose_compute(c.train, communicator);
  ScoreRecord r;
  r.program = "music_linear";
  r.protocol = protocol_id(c, o.cached);
  r.settings = settings_of(c, o, compute);
  r.compute = describe(compute);
  r.processes = communicator.size();
  r.encoder = describe_encoder(open_encoder_file(o.file()));
  r.data["train"] = describe_data(*open_training_data(c), c.data.path);
  r.data["test"] = describe_data(*eval.test, test_path(c));
  r.notes = eval.notes;
  tell_left_out(r, "train", "training", endings.front().train_left_out);
  tell_left_out(r, "test", "test", endings.front().test.left_out);
  const auto& own = endings.front().notes;
  r.notes.insert(r.notes.end(), own.begin(), own.end());

  const std::size_t best = choose(endings, false);
  const auto& first = endings.front().test;
  const bool five = eval.populated > 5;
  // name: of the row; i: of the classifier; random: of its counterpart.
  const auto add = [&](const std::string& name, std::size_t i,
                       std::optional<std::size_t> random,
                       double ClassifierScore::*field, double chance) {
    ScoreRow row{name};
    row.chance = chance;
    for (const Ending& e : endings)
      if (!e.part.random)
        row.values.push_back(e.test.classifiers[i].*field);
      else if (random)
        row.random_initialisation = e.test.classifiers[*random].*field;
    r.scores.push_back(std::move(row));
  };
  std::optional<std::size_t> random;
  if (endings.back().part.random) random = choose(endings, true);
  const double one = 100.0 / eval.populated;
  add("top-1", best, random, &ClassifierScore::top1, one);
  if (five) add("top-5", best, random, &ClassifierScore::top5,
                std::min(100.0, 5 * one));
  const std::size_t count = first.classifiers.size();
  for (std::size_t i = 0; count > 1 && i < count; ++i)
    add("top-1 " + first.classifiers[i].name, i,
        random ? std::optional(i) : std::nullopt, &ClassifierScore::top1, one);
  for (const Ending& e : endings)
    if (!e.part.random) r.seeds.push_back(e.part.seed);

  if (count > 1)
    r.notes.push_back(fmt::format(
        "top-1 is of {}, the best of {} classifiers {}",
        first.classifiers[best].name, count,
        c.data.holdout > 0
            ? fmt::format("by {} held-out training images", c.data.holdout)
            : "by the test images themselves, which is optimistic: --holdout n "
              "chooses by training images"));
  if (!o.cached)
    r.notes.push_back("the score is the last epoch's; no epoch was chosen");
  r.notes.push_back(fmt::format("{} test images scored", first.images));
  if (random)
    r.notes.push_back(fmt::format(
        "random init: the same on weights drawn with seed {}{}", c.train.seed,
        count > 1 ? ", its best classifier" : ""));
  return r;
}

// Trains the parts; nothing: the exit code is another one.
std::optional<std::vector<Ending>> train_parts(
    const ResolvedConfig& config, const std::vector<Part>& parts,
    const std::vector<std::string>& argv, dist::Communicator& communicator,
    int& code) {
  std::vector<Ending> endings;
  for (const Part& part : parts) {
    code = train_with_display(config_of(config, part), argv, communicator);
    if (code) return std::nullopt;
    if (communicator.rank() == 0) endings.push_back(ending_of(config, part));
  }
  return endings;
}

std::vector<Ending> solve_parts(const Config& c, const std::vector<Part>& parts,
                                const Options& o,
                                dist::Communicator& communicator) {
  std::vector<Ending> endings;
  for (const Part& part : parts) {
    CachedScore score = score_cached(c, part.random ? fs::path() : o.file(),
                                     part.seed, communicator);
    endings.push_back({part, std::move(score.test), {}, std::move(score.notes),
                       std::move(score.train_left_out)});
  }
  return endings;
}

int linear_main(int argc, char** argv) {
  CLI::App app("Trains linear classifiers on a frozen encoder, and scores them.");
  Options o;
  add_options(app, o);
  const ExtendFlag extend(app);
  setup_logging("info");  // warnings of the configuration are no results
  const auto config = configure(app, argc, argv, [&](ConfigSources& sources) {
    extend.add_to(sources);
    add_known(sources, o);
  });
  if (!config) return 0;
  const Config& c = config->value;
  check(c, o);
  if (o.cached) refuse_training_flags(*config);
  std::vector<Part> parts;
  for (int i = 0; i < o.seeds; ++i)
    parts.push_back({c.train.seed + static_cast<std::uint64_t>(i), false});

  return run_processes(argv, [&](dist::Communicator& communicator) {
    const auto start = std::chrono::steady_clock::now();
    setup_logging(c.train.log_level, communicator.rank(), communicator.size());
    // What is wrong with the data is said before an epoch of it.
    open_eval_data(c.data.path, test_path(c), c.data.format, kTestFlag);
    if (o.random == "yes" ||
        (o.random == "auto" && open_training_data(c)->size() <= kFewImages))
      parts.push_back({c.train.seed, true});
    std::vector<Ending> endings;
    if (o.cached) {
      endings = solve_parts(c, parts, o, communicator);
    } else {
      int code = 0;
      auto trained = train_parts(*config, parts, {argv, argv + argc},
                                 communicator, code);
      if (!trained) return code;
      endings = std::move(*trained);
    }
    if (communicator.rank() != 0) return 0;
    setup_logging(c.train.log_level);
    ScoreRecord record = record_of(c, endings, o, communicator);
    record.seconds = std::chrono::duration<double>(
                         std::chrono::steady_clock::now() - start).count();
    if (!o.cached && endings.front().test.classifiers.size() > 1)
      write_best(config_of(*config, parts.front()).value, choose(endings, false),
                 fs::path(c.train.out) / "classifier.safetensors");
    report(record, o.json,
           o.is_run() ? fs::path(o.encoder) : fs::path(c.train.out));
    return 0;
  });
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_training_main(argc, argv, linear_main);
}
