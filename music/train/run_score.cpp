#include "music/train/run_score.h"

#include <spdlog/spdlog.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "music/eval/knn.h"

namespace music {
namespace {

// Which images the score is not of; kData where none is left.
void tell(const Features& features, const data::Dataset& images,
          const std::string& which) {
  const std::string text = describe(features.left_out, images.size(), which);
  if (features.count == 0)
    throw error(ExitCode::kData, "[knn] no {} image is left: {}", which, text);
  if (!text.empty()) spdlog::warn("[knn] {}", text);
}

std::filesystem::path file_of(const RunFiles& files) {
  return files.directory.eval() / "knn_during_training.jsonl";
}

}  // namespace

RunScore::RunScore(const Config& config)
    : data_(open_eval_data(
          config.data.eval_train.empty() ? config.data.path
                                         : config.data.eval_train,
          config.data.eval_test.empty() ? config.data.path
                                        : config.data.eval_test,
          config.data.format, "--data.eval_train and --data.eval_test")) {}

void RunScore::record(Trainer& trainer, RunFiles& files,
                      const Config& config) const {
  FeatureSpec spec;
  spec.eval = eval_spec_of(config);
  spec.pixels = config.pixels;
  spec.workers = trainer.threads().loader;
  const Features train = extract_features(trainer.model(), *data_.train, spec);
  const Features test = extract_features(trainer.model(), *data_.test, spec);
  tell(train, *data_.train, "training");
  tell(test, *data_.test, "test");
  KnnSpec which;  // of the paper's, those the training images suffice for
  std::erase_if(which.k, [&](int k) { return k > train.count; });
  if (which.k.empty()) which.k = {1};
  const auto scores = knn(train, test, data_.classes, which);
  const std::int64_t epoch = trainer.steps_done() / trainer.steps_per_epoch();
  std::string text;
  Metrics metrics{{"epoch", epoch}, {"step", trainer.steps_done()}};
  std::vector<std::pair<std::string, double>> curves;
  for (const KnnScore& s : scores) {
    text += fmt::format("{}{}-NN {:.2f} %", text.empty() ? "" : ", ", s.k, s.top1);
    metrics.emplace_back(fmt::format("knn{}", s.k), s.top1);
    curves.emplace_back(fmt::format("eval/knn{}", s.k), s.top1);
  }
  if (train.left_out.count > 0)
    metrics.emplace_back("train_left_out", train.left_out.count);
  if (test.left_out.count > 0)
    metrics.emplace_back("test_left_out", test.left_out.count);
  spdlog::info("[knn] after epoch {}: {}", epoch, text);
  const std::string line = to_json(metrics);
  std::error_code ignored;  // opening the file will say it
  std::filesystem::create_directories(files.directory.eval(), ignored);
  AppendFile(file_of(files)).append(line + "\n");
  // At the last step done: a start that goes on from here keeps it.
  files.tensorboard->write(trainer.steps_done() - 1, curves);
}

bool RunScore::lacks(const Trainer& trainer, const RunFiles& files) {
  std::ifstream in(file_of(files));
  std::int64_t keep = 0, last = 0;
  for (std::string line; std::getline(in, line) && !in.eof();) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) break;
    const std::int64_t step = json.value("step", std::int64_t{-1});
    if (step < 0 || step > trainer.steps_done()) break;
    last = step;
    keep += static_cast<std::int64_t>(line.size()) + 1;
  }
  if (in.is_open()) AppendFile(file_of(files)).truncate_to(keep);
  return last != trainer.steps_done();
}

}  // namespace music
