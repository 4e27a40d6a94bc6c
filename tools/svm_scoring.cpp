#include "tools/svm_scoring.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "engine/io/file.h"
#include "music/eval/eval_data.h"
#include "music/eval/shared_features.h"
#include "music/eval/voc.h"
#include "tools/progress.h"

namespace music {
namespace {

// Images and who shows what, of either kind of data set.
struct Images {
  std::unique_ptr<data::Dataset> train, test;
  SvmTargets train_targets, test_targets;
  std::vector<std::string> classes;
  bool voc = false;
  std::string protocol, train_path, test_path;
  std::vector<std::string> notes;
};

SvmTargets targets_of(const data::Dataset& images, int classes) {
  std::vector<int> labels;
  for (std::int64_t i = 0; i < images.size(); ++i) labels.push_back(images.label(i));
  return one_against_rest(labels, classes);
}

Images open_images(const SvmOptions& o) {
  Images images;
  images.train_path = o.train.empty() ? o.data : o.train;
  images.test_path = o.test.empty() ? o.data : o.test;
  if (!o.data.empty() && looks_like_voc(o.data)) {
    VocData voc = open_voc(o.data, o.train_set, o.test_set);
    images.voc = true;
    images.train_path = images.test_path = voc.root;
    const bool voc07 = std::filesystem::path(voc.root).filename() == "VOC2007" &&
                       voc.classes.size() == 20 && o.train_set == "trainval" &&
                       o.test_set == "test";
    images.protocol = voc07 ? "svm.voc07" : "svm.voc";
    images.train = std::move(voc.train.images);
    images.test = std::move(voc.test.images);
    images.train_targets = std::move(voc.train.targets);
    images.test_targets = std::move(voc.test.targets);
    images.classes = std::move(voc.classes);
    return images;
  }
  EvalData data = open_eval_data(images.train_path, images.test_path,
                                 data::DatasetFormat::kAuto);
  images.protocol = "svm";
  images.train_targets = targets_of(*data.train, data.classes);
  images.test_targets = targets_of(*data.test, data.classes);
  for (int c = 0; c < data.classes; ++c)
    images.classes.push_back(
        c < std::ssize(data.train->classes())
            ? data.train->classes()[static_cast<std::size_t>(c)]
            : std::to_string(c));
  images.train = std::move(data.train);
  images.test = std::move(data.test);
  images.notes = std::move(data.notes);
  return images;
}

// The targets of some images.
SvmTargets take(const SvmTargets& targets, const std::vector<int>& samples) {
  SvmTargets taken(targets.size());
  for (std::size_t c = 0; c < targets.size(); ++c)
    for (const int s : samples)
      taken[c].push_back(targets[c][static_cast<std::size_t>(s)]);
  return taken;
}

std::string hash_of(const SvmTargets& targets) {
  Xxh3 hash;
  for (const auto& t : targets) hash.update(std::as_bytes(std::span(t)));
  return hash.digest().xxh3_128;
}

// Classes with a score that chance alone would give them: the share of the test
// images that show them.
double chance_of(const std::vector<std::int8_t>& targets) {
  const auto shown = std::ranges::count(targets, 1);
  return 100.0 * static_cast<double>(shown) /
         static_cast<double>(shown + std::ranges::count(targets, -1));
}

struct Scores {
  std::vector<SvmClassScore> classes;
  std::vector<LowShotScore> low_shot;
  double accuracy = 0;
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v / static_cast<double>(values.size());
  return sum;
}

class Scoring {
 public:
  Scoring(const SvmOptions& options, dist::Communicator& communicator)
      : o_(options), world_(communicator),
        display_(progress_style(options.progress), communicator.rank(), 10) {}

  ScoreRecord run() {
    const auto start = std::chrono::steady_clock::now();
    // What is wrong with lists is said before the encoder is opened.
    images_ = open_images(o_);
    const OpenedEncoder encoder = open_encoder(o_.encoder, &world_);
    describe(encoder);
    Scores trained;
    {
      const auto model = encoder.random_model(o_.seed);
      encoder.load_into(*model);
      trained = score(*model, encoder, "");
    }
    tell(trained);
    std::vector<Scores> random;
    for (int i = 0; o_.random && i < o_.seeds; ++i) {
      record_.seeds.push_back(o_.seed + static_cast<std::uint64_t>(i));
      const auto model = encoder.random_model(record_.seeds.back());
      random.push_back(score(*model, encoder,
                             fmt::format(", random initialisation {}",
                                         record_.seeds.back())));
    }
    if (!o_.random)
      record_.notes.push_back("random initialisation was not asked for");
    o_.low_shot ? low_shot_rows(trained, random) : class_rows(trained, random);
    record_.seconds = std::chrono::duration<double>(
                          std::chrono::steady_clock::now() - start).count();
    return std::move(record_);
  }

 private:
  void describe(const OpenedEncoder& encoder) {
    const SvmProtocol& p = o_.protocol;
    const data::EvalSpec& eval = encoder.features.eval;
    record_.program = "music_svm";
    record_.protocol = images_.protocol + (o_.low_shot ? ".low-shot" : "");
    record_.settings = {
        {"features", o_.features}, {"view", o_.view}, {"resize", eval.resize},
        {o_.view, eval.size}, {"interpolation", "bilinear"},
        {"pillow", eval.pillow},
        {"normalisation", "x / (|x| + 1e-5)"}, {"loss", "squared hinge"},
        {"C", p.costs}, {"weights", {p.solver.positive_weight,
                                     p.solver.negative_weight}},
        {"tolerance", p.solver.tolerance}, {"iterations", p.solver.iterations},
        {"AP", "area under the monotone envelope"}};
    if (images_.voc) {
      record_.settings["sets"] = o_.train_set + ", " + o_.test_set;
      record_.settings["difficult"] = "negative in training, ignored in the test";
    }
    if (o_.low_shot)
      record_.settings.update({{"k", o_.low_shot_spec.positives},
                               {"negatives", o_.low_shot_spec.negatives},
                               {"draws", o_.low_shot_spec.samples},
                               {"seed", o_.seed},
                               {"choice of C", "best mean on the test images"}});
    else if (p.costs.size() > 1)
      record_.settings.update(
          {{"choice of C", fmt::format("average precision over {} folds", p.folds)}});
    record_.encoder = describe_encoder(encoder.weights);
    record_.data["train"] = describe_data(*images_.train, images_.train_path);
    record_.data["test"] = describe_data(*images_.test, images_.test_path);
    if (images_.voc) {
      for (const char* role : {"train", "test"})
        record_.data[role]["classes"] = images_.classes.size();
      record_.data["train"]["targets"] = hash_of(images_.train_targets);
      record_.data["test"]["targets"] = hash_of(images_.test_targets);
    }
    record_.notes = images_.notes;
    record_.compute = music::describe(encoder.compute) + "; SVMs on the CPU";
    record_.processes = world_.size();
  }

  // Rows of all processes; the labels are numbers of images.
  Features extract(Model& model, const data::Dataset& images, FeatureSpec spec,
                   const std::string& task) {
    spec.rank = world_.rank();
    spec.world = world_.size();
    ProgressState state;
    state.task = task;
    state.steps = images.size() * (spec.rank + 1) / spec.world -
                  images.size() * spec.rank / spec.world;
    Features f;
    f.width = feature_width(model, spec.kind);
    f.values.reserve(static_cast<std::size_t>(state.steps * f.width));
    const FeatureSummary summary =
        stream_features(model, images, spec, [&](const FeatureRows& rows) {
          f.values.insert(f.values.end(), rows.values,
                          rows.values + rows.n * rows.width);
          for (const std::int64_t s : rows.samples)
            f.labels.push_back(static_cast<int>(s));
          state.step += rows.n;
          display_.update(state);
        });
    f.count = summary.count;
    f.bad_images = std::ssize(summary.bad);
    for (const data::BadSample& b : summary.bad)
      spdlog::warn("[svm] {} is left out: {}", b.name, b.reason);
    f = world_.size() > 1 ? gather(f, world_) : std::move(f);
    normalise_rows(f.values.data(), f.count, f.width);
    return f;
  }

  Scores score(Model& model, const OpenedEncoder& encoder,
               const std::string& which) {
    FeatureSpec spec = encoder.features;
    spec.kind = o_.features == "res5" ? FeatureKind::kRes5 : FeatureKind::kPooled;
    spec.eval.squash = o_.view == "squash";
    const Features train = extract(model, *images_.train, spec,
                                   "features of the training images" + which);
    const Features test = extract(model, *images_.test, spec,
                                  "features of the test images" + which);
    if (which.empty())
      for (const auto& [f, of] : {std::pair{&train, "training"}, {&test, "test"}})
        if (f->bad_images > 0)
          record_.notes.push_back(
              fmt::format("{} of {} {} images cannot be read and are left out",
                          f->bad_images, f->bad_images + f->count, of));
    const SvmTask task{{train.values.data(), train.count, train.width},
                       {test.values.data(), test.count, test.width},
                       images_.classes,
                       take(images_.train_targets, train.labels),
                       take(images_.test_targets, test.labels)};
    SvmProtocol protocol = o_.protocol;
    protocol.solver.seed = o_.seed;
    protocol.communicator = &world_;
    protocol.progress = [&](std::int64_t done, std::int64_t all) {
      ProgressState state;
      state.task = "support vector machines" + which;
      state.unit = "problems";
      state.step = done;
      state.steps = all;
      display_.update(state);
    };
    Scores scores;
    if (o_.low_shot) {
      scores.low_shot = low_shot_scores(task, protocol, o_.low_shot_spec);
      return scores;
    }
    scores.classes = svm_scores(task, protocol);
    if (!images_.voc) {
      std::vector<int> labels;
      for (const int s : test.labels) labels.push_back(images_.test->label(s));
      scores.accuracy = svm_accuracy(scores.classes, labels);
    }
    for (auto& c : scores.classes) c.decisions.clear();
    return scores;
  }

  // What a reader must know of how the problems ended.
  void tell(const Scores& trained) {
    std::int64_t unconverged = 0;
    for (const auto& s : trained.classes) unconverged += s.unconverged;
    for (const auto& s : trained.low_shot) unconverged += s.unconverged;
    if (unconverged > 0)
      record_.notes.push_back(
          fmt::format("{} problems stopped at {} iterations, before the tolerance",
                      unconverged, o_.protocol.solver.iterations));
    if (trained.classes.empty()) return;
    std::string costs;
    for (std::size_t c = 0; c < images_.classes.size(); ++c)
      costs += fmt::format("{}{} {}", c ? ", " : "", images_.classes[c],
                           trained.classes[c].cost);
    record_.notes.push_back("C of each class: " + costs);
  }

  void class_rows(const Scores& trained, const std::vector<Scores>& random) {
    double chance = 0;
    const auto classes = static_cast<double>(images_.classes.size());
    for (const auto& t : images_.test_targets) chance += chance_of(t) / classes;
    const auto over_seeds = [&](auto&& value) {
      std::vector<double> values;
      for (const Scores& s : random) values.push_back(100 * value(s));
      return values.empty() ? std::nullopt : std::optional(mean(values));
    };
    record_.scores.push_back(
        {"mAP", {100 * mean_ap(trained.classes)}, chance,
         over_seeds([](const Scores& s) { return mean_ap(s.classes); })});
    if (!images_.voc)
      record_.scores.push_back(
          {"top-1", {100 * trained.accuracy}, 100 / classes,
           over_seeds([](const Scores& s) { return s.accuracy; })});
    for (std::size_t c = 0; c < images_.classes.size(); ++c)
      record_.scores.push_back(
          {"AP " + images_.classes[c], {100 * trained.classes[c].ap},
           chance_of(images_.test_targets[c]),
           over_seeds([c](const Scores& s) { return s.classes[c].ap; })});
  }

  void low_shot_rows(const Scores& trained, const std::vector<Scores>& random) {
    double chance = 0;
    for (const auto& t : images_.test_targets)
      chance += chance_of(t) / static_cast<double>(images_.classes.size());
    for (std::size_t k = 0; k < trained.low_shot.size(); ++k) {
      const LowShotScore& s = trained.low_shot[k];
      ScoreRow row{fmt::format("mAP, {} positive", s.positives), {}, chance};
      for (const double v : s.map) row.values.push_back(100 * v);
      std::vector<double> others;
      for (const Scores& r : random) others.push_back(100 * mean(r.low_shot[k].map));
      if (!others.empty()) row.random_initialisation = mean(others);
      record_.scores.push_back(std::move(row));
      record_.notes.push_back(fmt::format("{} positive: C {}", s.positives, s.cost));
    }
    record_.notes.push_back(
        "the spread is over draws of examples; C is chosen on the test images, as "
        "the protocol has it");
  }

  SvmOptions o_;
  dist::Communicator& world_;
  Progress display_;
  Images images_;
  ScoreRecord record_;
};

}  // namespace

ScoreRecord score_svm(const SvmOptions& options,
                      dist::Communicator& communicator) {
  return Scoring(options, communicator).run();
}

}  // namespace music
