#include "music/train/run_score.h"

#include <spdlog/spdlog.h>

#include "music/eval/knn.h"

namespace music {

RunScore::RunScore(const Config& config)
    : data_(open_eval_data(
          config.data.eval_train.empty() ? config.data.path
                                         : config.data.eval_train,
          config.data.eval_test.empty() ? config.data.path
                                        : config.data.eval_test,
          config.data.format)) {}

void RunScore::record(Trainer& trainer, RunFiles& files,
                      const Config& config) const {
  FeatureSpec spec;
  spec.eval = eval_spec_of(config);
  spec.pixels = config.pixels;
  spec.workers = trainer.threads().loader;
  const auto scores =
      knn(extract_features(trainer.model(), *data_.train, spec),
          extract_features(trainer.model(), *data_.test, spec), data_.classes,
          {20, 200});
  const std::int64_t epoch = trainer.steps_done() / trainer.steps_per_epoch();
  spdlog::info("[knn] after epoch {}: 20-NN {:.2f} %, 200-NN {:.2f} %", epoch,
               scores[0].top1, scores[1].top1);
  const std::string line = to_json(
      {{"epoch", epoch}, {"step", trainer.steps_done()},
       {"knn20", scores[0].top1}, {"knn200", scores[1].top1}});
  const auto folder = files.directory.eval();
  std::filesystem::create_directories(folder);
  AppendFile(folder / "knn_during_training.jsonl").append(line + "\n");
  files.tensorboard->write(trainer.steps_done(),
                           {{"eval/knn20", scores[0].top1},
                            {"eval/knn200", scores[1].top1}});
}

}  // namespace music
