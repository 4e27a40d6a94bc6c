#include "tools/knn_scoring.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <span>

#include "data/sampler.h"
#include "dist/threads.h"
#include "music/eval/eval_data.h"
#include "music/eval/knn.h"
#include "music/eval/shared_features.h"
#include "tools/progress.h"
#include "tools/stored_features.h"

namespace music {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLeastRandomBank = 5000;

ProgressStyle style_of(const std::string& name) {
  return name == "bar"     ? ProgressStyle::kBar
         : name == "plain" ? ProgressStyle::kPlain
         : name == "none"  ? ProgressStyle::kNone
                           : ProgressStyle::kAuto;
}

// Settles k before hours of work are spent: those asked for must fit; of the
// defaults, those that do are taken.
void settle_k(KnnOptions& o, std::int64_t bank, std::vector<std::string>& notes) {
  const int most = *std::max_element(o.k.begin(), o.k.end());
  if (most > bank && !o.k_given) {
    std::erase_if(o.k, [bank](int k) { return k > bank; });
    notes.push_back(fmt::format("k {} left out: there are {} training images",
                                most, bank));
  }
  if (o.k.empty() || (o.k_given && most > bank))
    throw error(ExitCode::kUsage,
                "[knn] k {} and a bank of {} training images: expected --k from "
                "1 to {}", most, bank, bank);
}

// Features, as far as this process has them.
struct Extracted {
  Features train;                     // its part
  std::vector<std::int64_t> samples;  // their numbers in the training set
  Features test;                      // all
  std::int64_t bad_train = 0;         // of all processes
};

class Scoring {
 public:
  Scoring(const KnnOptions& options, dist::Communicator& communicator)
      : options_(options),
        world_(communicator),
        display_(style_of(options.progress), communicator.rank(), 10) {}

  ScoreRecord run() {
    const auto start = std::chrono::steady_clock::now();
    record_.program = "music_knn";
    record_.protocol = "knn";
    record_.processes = world_.size();
    options_.stored() ? score_stored() : score_encoder();
    record_.seconds = std::chrono::duration<double>(
                          std::chrono::steady_clock::now() - start).count();
    return std::move(record_);
  }

 private:
  void describe(const EvalData& data, const std::string& train,
                const std::string& test) {
    classes_ = data.classes;
    chance_ = 100.0 / data.populated;
    record_.data["train"] = describe_data(*data.train, train);
    record_.data["test"] = describe_data(*data.test, test);
    record_.notes = data.notes;
    settle_k(options_, data.train->size(), record_.notes);
    record_.settings = {{"distance", "cosine"}, {"vote", "exp(sim/T)"},
                        {"k", options_.k}, {"T", options_.temperatures}};
  }

  void score_stored() {
    omp_set_num_threads(
        dist::choose_threads(world_, options_.encoder.threads, 0).compute);
    fs::path train = options_.train_features, test = options_.test_features;
    if (!options_.features.empty()) {
      const fs::path folder = options_.features;
      train = folder / "train";
      test = folder / (fs::is_directory(folder / "val") ? "val" : "test");
    }
    {
      auto bank = open_stored_features(train), queries = open_stored_features(test);
      describe(match_eval_data(std::move(bank), train.string(),
                               std::move(queries), test.string()),
               train.string(), test.string());
    }
    record_.encoder = {{"features", train.string()}};
    record_.settings["features"] = "as stored";
    record_.compute = "cpu, fp32";
    const Features bank = read_stored_features(train, world_.rank(), world_.size());
    const Features queries = read_stored_features(test);
    if (bank.width != queries.width)
      throw error(ExitCode::kData,
                  "[knn] {} has features of {} numbers, {} of {}: expected the "
                  "same", train.string(), bank.width, test.string(), queries.width);
    rows_of(scores(bank, queries, "neighbours"), {}, "");
    record_.notes.push_back("no encoder, and so no random initialisation");
  }

  void score_encoder() {
    const std::string train = options_.train.empty() ? options_.data : options_.train;
    const std::string test = options_.test.empty() ? options_.data : options_.test;
    // What is wrong with them is said before the encoder's report.
    const EvalData data = open_eval_data(train, test, data::DatasetFormat::kAuto);
    describe(data, train, test);
    draw_sample(data.train->size());
    const OpenedEncoder encoder = open_encoder(options_.encoder, &world_);
    const data::EvalSpec& eval = encoder.features.eval;
    record_.settings.update({{"features", "pooled"}, {"resize", eval.resize},
                             {"pillow", eval.pillow},
                             {"interpolation", eval.interpolation ==
                                                       data::Interpolation::kBicubic
                                                   ? "bicubic" : "bilinear"},
                             {"crop", eval.size}});
    record_.encoder = {{"path", encoder.path.string()}, {"hash", encoder.hash()}};
    record_.compute = describe_compute(encoder);

    std::vector<KnnScore> whole, part;
    {
      const auto model = encoder.random_model(options_.seed);
      encoder.load_into(*model);
      const Extracted e = extract(*model, *data.train, *data.test, encoder, "");
      tell_bad(e, data);
      whole = scores(e.train, e.test, "neighbours");
      if (!sample_.empty() && !sample_is_all_) {
        std::vector<std::int64_t> chosen;  // rows of the sample among mine
        for (std::size_t i = 0; i < e.samples.size(); ++i)
          if (std::binary_search(sample_.begin(), sample_.end(),
                                 static_cast<std::uint32_t>(e.samples[i])))
            chosen.push_back(static_cast<std::int64_t>(i));
        part = scores(e.train, e.test, "neighbours in the sample", chosen);
      }
    }
    score_random(encoder, data, whole, part);
  }

  // The training images that random initialisations are scored with.
  void draw_sample(std::int64_t bank) {
    std::int64_t n = options_.random_bank;
    const int most = *std::max_element(options_.k.begin(), options_.k.end());
    if (n == 0) return;
    if (n > 0 && n < most)
      throw error(ExitCode::kUsage,
                  "[knn] --random-bank {} and k {}: expected at least as many "
                  "images", n, most);
    if (n < 0) n = std::max({kLeastRandomBank, bank / 10, std::int64_t{most}});
    n = std::min(n, bank);
    sample_is_all_ = n == bank;
    sample_ = data::permutation(bank, options_.seed, 0xFFFFFFFFu);
    sample_.resize(static_cast<std::size_t>(n));
    std::sort(sample_.begin(), sample_.end());
  }

  Extracted extract(Model& model, const data::Dataset& train,
                    const data::Dataset& test, const OpenedEncoder& encoder,
                    const std::string& which) {
    FeatureSpec spec = encoder.features;
    spec.rank = world_.rank();
    spec.world = world_.size();
    Extracted e;
    const auto add = [&](const data::Dataset& images, const std::string& name,
                         Features& f, std::vector<std::int64_t>* samples) {
      ProgressState state;
      state.task = "features of the " + name + " images" + which;
      state.steps = images.size() * (spec.rank + 1) / spec.world -
                    images.size() * spec.rank / spec.world;
      f.width = feature_width(model, spec.kind);
      f.values.reserve(static_cast<std::size_t>(state.steps * f.width));
      const FeatureSummary summary = stream_features(
          model, images, spec, [&](const FeatureRows& rows) {
            f.values.insert(f.values.end(), rows.values,
                            rows.values + rows.n * rows.width);
            f.labels.insert(f.labels.end(), rows.labels.begin(),
                            rows.labels.end());
            if (samples)
              samples->insert(samples->end(), rows.samples.begin(),
                              rows.samples.end());
            state.step += rows.n;
            display_.update(state);
          });
      f.count = summary.count;
      f.bad_images = std::ssize(summary.bad);
    };
    add(train, "training", e.train, &e.samples);
    add(test, "test", e.test, nullptr);
    e.test = gather(e.test, world_);
    std::vector<std::int64_t> bad(static_cast<std::size_t>(world_.size()));
    world_.exchange(std::span(&e.train.bad_images, 1), bad);
    for (const std::int64_t n : bad) e.bad_train += n;
    return e;
  }

  void tell_bad(const Extracted& e, const EvalData& data) {
    const auto tell = [&](std::int64_t bad, std::int64_t of, const char* which) {
      if (bad > 0)
        record_.notes.push_back(fmt::format(
            "{} of {} {} images cannot be read and are left out", bad, of, which));
    };
    tell(e.bad_train, data.train->size(), "training");
    tell(e.test.bad_images, data.test->size(), "test");
  }

  std::vector<KnnScore> scores(
      const Features& bank, const Features& test, const std::string& task,
      std::optional<std::span<const std::int64_t>> chosen = {}) {
    KnnSpec spec;
    spec.k = options_.k;
    spec.temperatures = options_.temperatures;
    spec.chosen = chosen;
    spec.done = [&](double share) {
      ProgressState state;
      state.task = task;
      state.steps = test.count;
      state.step = static_cast<std::int64_t>(
          share * static_cast<double>(test.count));
      display_.update(state);
    };
    return knn(bank, test, classes_, spec, &world_);
  }

  void score_random(const OpenedEncoder& encoder, const EvalData& data,
                    const std::vector<KnnScore>& whole,
                    const std::vector<KnnScore>& part) {
    std::vector<std::vector<KnnScore>> random;
    if (!sample_.empty()) {
      const auto bank = data::view(*data.train, sample_);
      for (int i = 0; i < options_.seeds; ++i) {
        record_.seeds.push_back(options_.seed + static_cast<std::uint64_t>(i));
        const auto model = encoder.random_model(record_.seeds.back());
        const std::string which =
            fmt::format(", random initialisation {}", record_.seeds.back());
        const Extracted e = extract(*model, *bank, *data.test, encoder, which);
        random.push_back(scores(e.train, e.test, "neighbours" + which));
      }
      record_.notes.push_back(fmt::format(
          "random initialisation: {} of {} training images{}{}", sample_.size(),
          data.train->size(),
          sample_is_all_ ? "" : fmt::format(", drawn by seed {}", options_.seed),
          options_.seeds > 1 ? fmt::format(", mean of {} seeds", options_.seeds)
                             : ""));
    } else {
      record_.notes.push_back("random initialisation was not asked for");
    }
    rows_of(whole, sample_is_all_ ? random : decltype(random){}, "");
    if (!part.empty())
      rows_of(part, random, fmt::format(", {} voters", sample_.size()));
    if (random.size() > 1) {
      std::vector<std::vector<KnnScore>> by_score(random[0].size());
      for (const auto& seed : random)
        for (std::size_t i = 0; i < seed.size(); ++i)
          by_score[i].push_back(seed[i]);
      for (const auto& seeds : by_score) {
        ScoreRow top1{"random init, " + name_of(seeds[0]) + " top-1", {}, chance_};
        ScoreRow top5{"random init, " + name_of(seeds[0]) + " top-5", {},
                      chance_of_five(seeds[0].k)};
        for (const KnnScore& s : seeds) {
          top1.values.push_back(s.top1);
          top5.values.push_back(s.top5);
        }
        record_.scores.push_back(top1);
        record_.scores.push_back(top5);
      }
    }
  }

  // k neighbours are of k classes at most.
  double chance_of_five(int k) const {
    return std::min(100.0, std::min(5, k) * chance_);
  }

  std::string name_of(const KnnScore& s) const {
    return options_.temperatures.size() > 1
               ? fmt::format("{}-NN, T {}", s.k, s.temperature)
               : fmt::format("{}-NN", s.k);
  }

  // A row a score, with the mean over the seeds of the random ones.
  void rows_of(const std::vector<KnnScore>& scores,
               const std::vector<std::vector<KnnScore>>& random,
               const std::string& suffix) {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      std::optional<double> random1, random5;
      for (const auto& r : random) {
        const auto n = static_cast<double>(random.size());
        random1 = random1.value_or(0) + r[i].top1 / n;
        random5 = random5.value_or(0) + r[i].top5 / n;
      }
      record_.scores.push_back({name_of(scores[i]) + " top-1" + suffix,
                                {scores[i].top1}, chance_, random1});
      record_.scores.push_back({name_of(scores[i]) + " top-5" + suffix,
                                {scores[i].top5}, chance_of_five(scores[i].k),
                                random5});
    }
  }

  static std::string describe_compute(const OpenedEncoder& e) {
    return music::describe(e.compute) + "; neighbours on the CPU";
  }

  KnnOptions options_;
  dist::Communicator& world_;
  Progress display_;
  ScoreRecord record_;
  int classes_ = 0;
  double chance_ = 0;
  std::vector<std::uint32_t> sample_;  // ascending
  bool sample_is_all_ = false;
};

}  // namespace

ScoreRecord score_knn(const KnnOptions& options,
                      dist::Communicator& communicator) {
  return Scoring(options, communicator).run();
}

}  // namespace music
