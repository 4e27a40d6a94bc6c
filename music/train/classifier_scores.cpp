#include "music/train/classifier_scores.h"

#include <spdlog/spdlog.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/counted.h"
#include "engine/io/file.h"
#include "music/eval/eval_data.h"
#include "music/eval/fingerprint.h"
#include "music/train/run_identity.h"

namespace music {
namespace {

using Json = nlohmann::ordered_json;

std::filesystem::path file_of(const std::filesystem::path& run) {
  return run / "eval" / "classifier.jsonl";
}

Json to_json(const ClassifierScores& s) {
  Json list = Json::array();
  for (const ClassifierScore& c : s.classifiers)
    list.push_back({{"name", c.name}, {"top1", c.top1}, {"top5", c.top5},
                    {"loss", c.loss}});
  Json left_out = Json::array();
  for (const data::BadSample& bad : s.left_out.first)
    left_out.push_back({{"name", bad.name}, {"reason", bad.reason}});
  return {{"images", s.images}, {"bad_images", s.left_out.count},
          {"left_out", std::move(left_out)}, {"classifiers", std::move(list)}};
}

ClassifierScores scores_of(const Json& j) {
  ClassifierScores s{j.at("images"), {}, {}};
  s.left_out.count = j.at("bad_images");
  for (const Json& bad : j.value("left_out", Json::array()))  // not in old files
    s.left_out.first.push_back({0, 0, bad.at("name"), bad.at("reason")});
  for (const Json& c : j.at("classifiers"))
    // A loss that is not finite is null.
    s.classifiers.push_back({c.at("name"), c.at("top1"), c.at("top5"),
                             c.at("loss").is_null() ? std::nan("")
                                                    : c.at("loss").get<double>()});
  return s;
}

void write(const std::filesystem::path& run,
           const std::vector<EpochScores>& epochs) {
  std::filesystem::create_directories(file_of(run).parent_path());
  FileWriter out(file_of(run));
  for (const EpochScores& e : epochs) {
    Json line{{"epoch", e.epoch}, {"step", e.step}, {"of", e.of},
              {"test", to_json(e.test)}};
    if (e.holdout) line["holdout"] = to_json(*e.holdout);
    // Names of files may be no UTF-8.
    out.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  out.commit();
}

std::string described(const ClassifierScores& s) {
  const ClassifierScore& best = s.best();
  return fmt::format(
      "top-1 {:.2f} %, top-5 {:.2f} % of {}{}{}", best.top1, best.top5,
      counted(s.images, "image"),
      s.classifiers.size() > 1
          ? fmt::format(" by {}, the best of {}", best.name,
                        s.classifiers.size())
          : "",
      s.left_out.count > 0
          ? fmt::format(", {} more could not be read", s.left_out.count)
          : "");
}

}  // namespace

std::vector<EpochScores> read_classifier_scores(
    const std::filesystem::path& run) {
  std::vector<EpochScores> epochs;
  std::ifstream in(file_of(run));
  for (std::string line; std::getline(in, line);) {
    try {
      const Json j = Json::parse(line);
      epochs.push_back(
          {j.at("epoch"), j.at("step"), j.value("of", ""),
           scores_of(j.at("test")), {}});
      if (j.contains("holdout"))
        epochs.back().holdout = scores_of(j.at("holdout"));
    } catch (const Json::exception&) {
      throw error(ExitCode::kData, "[eval] {}:{} is not a line of scores",
                  file_of(run).string(), epochs.size() + 1);
    }
  }
  return epochs;
}

RunClassifier::RunClassifier(const Config& config,
                             dist::Communicator& communicator)
    : config_(config),
      communicator_(communicator),
      test_(open_eval_data(config.data.path,
                           config.data.eval_test.empty()
                               ? config.data.path
                               : config.data.eval_test,
                           config.data.format, "--data.eval_test")
                .test) {
  if (config.data.holdout > 0) holdout_ = open_held_out(config);
}

std::string RunClassifier::of() const {
  const data::EvalSpec view = eval_spec_of(config_);
  Xxh3 hash;
  const std::string text =
      fmt::format("{} {} {} {} {}", data_fingerprint(*test_), view.resize,
                  view.size, static_cast<int>(view.interpolation), view.pillow);
  hash.update(std::as_bytes(std::span(text)));
  return hash.digest().xxh3_128.substr(0, 16);
}

void RunClassifier::record(Trainer& trainer, RunFiles* files) const {
  FeatureSpec spec;
  spec.eval = eval_spec_of(config_);
  spec.pixels = config_.pixels;
  spec.workers = trainer.threads().loader;
  EpochScores now;
  now.step = trainer.steps_done();
  now.epoch = now.step / trainer.steps_per_epoch();
  now.test = score_classifiers(trainer.model(), *test_, spec, communicator_);
  if (holdout_)
    now.holdout =
        score_classifiers(trainer.model(), *holdout_, spec, communicator_);
  if (!files) return;
  now.of = of();
  spdlog::info("[score] after epoch {}: {}", now.epoch, described(now.test));
  if (now.holdout)
    spdlog::info("[score] held out of the training images: {}",
                 described(*now.holdout));
  const auto& run = files->directory.path();
  std::vector<EpochScores> epochs = read_classifier_scores(run);
  std::erase_if(epochs, [&](const auto& e) { return e.step >= now.step; });
  epochs.push_back(now);
  write(run, epochs);
  std::vector<std::pair<std::string, double>> scalars;
  for (const ClassifierScore& c : now.test.classifiers) {
    const std::string end = c.name.empty() ? "" : "/" + c.name;
    scalars.push_back({"eval/top1" + end, c.top1});
    scalars.push_back({"eval/top5" + end, c.top5});
  }
  // As of the kNN scores.
  files->tensorboard->write(now.step - 1, scalars);
}

bool RunClassifier::lacks(const Trainer& trainer, const RunFiles* files) const {
  std::int64_t found = 0;
  if (files)
    for (const EpochScores& e : read_classifier_scores(files->directory.path()))
      found |= e.step == trainer.steps_done() && e.of == of();
  communicator_.broadcast({&found, Shape{1}, DType::kI64});
  return found == 0;
}

}  // namespace music
