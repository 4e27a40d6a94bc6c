// music_knn: scores an encoder by its nearest neighbours, beside chance and
// the same network at random initialisation.

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/log.h"
#include "engine/io/state_dict.h"
#include "music/eval/eval_data.h"
#include "music/eval/knn.h"
#include "music/files/build_info.h"
#include "tools/encoder_cli.h"

namespace {

using namespace music;

struct Options {
  EncoderOptions encoder;
  std::string train, test, data;
  std::vector<int> k{20, 200};
  double temperature = 0.07;
  std::uint64_t seed = 0;
  bool json = false;
};

void add_options(CLI::App& app, Options& o) {
  o.encoder.add_to(app);
  app.add_option("--data", o.data, "labelled images with both splits: CIFAR, STL-10, "
                 "or a folder with train/ and val/ or test/");
  app.add_option("--train", o.train, "labelled training images");
  app.add_option("--test", o.test, "labelled test images");
  app.add_option("--k", o.k, "neighbours that vote")->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--temperature", o.temperature, "of the vote exp(sim / T)")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", o.seed, "of the random initialisation");
  app.add_flag("--json", o.json, "print one JSON object");
}

std::vector<KnnScore> score(Model& model, const EvalData& data,
                            const FeatureSpec& spec, const Options& o) {
  const Features train = extract_features(model, *data.train, spec);
  const Features test = extract_features(model, *data.test, spec);
  return knn(train, test, data.classes, o.k, o.temperature);
}

nlohmann::json to_json(const std::vector<KnnScore>& scores) {
  nlohmann::json j = nlohmann::json::array();
  for (const auto& s : scores)
    j.push_back({{"k", s.k}, {"top1", s.top1}, {"top5", s.top5}});
  return j;
}

void print_row(const char* name, const std::vector<KnnScore>& scores) {
  std::string line = fmt::format("{:<24}", name);
  for (const auto& s : scores)
    line += fmt::format("{:>9.2f}{:>9.2f}", s.top1, s.top5);
  fmt::print("{}\n", line);
}

int knn_main(int argc, char** argv) {
  CLI::App app("Scores an encoder by weighted k-nearest neighbours.");
  Options o;
  add_options(app, o);
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");
  if (o.train.empty()) o.train = o.data;
  if (o.test.empty()) o.test = o.data;
  if (o.train.empty() || o.test.empty())
    throw error(ExitCode::kUsage,
                "[cli] no images to score on: expected --data, or --train and "
                "--test");
  const OpenedEncoder encoder = open_encoder(o.encoder);
  const FeatureSpec& spec = encoder.features;
  const EvalData data =
      open_eval_data(o.train, o.test, data::DatasetFormat::kAuto);

  const auto model = encoder.random_model(o.seed);
  const auto random = score(*model, data, spec, o);
  encoder.load_into(*model);
  const auto trained = score(*model, data, spec, o);

  const std::string protocol = fmt::format(
      "cosine kNN in fp32, features on {}, vote exp(sim/{}), resize {} centre-crop {}, {} train and {} "
      "test images, {} classes", describe(encoder.compute), o.temperature, spec.eval.resize, spec.eval.size,
      data.train->size(), data.test->size(), data.classes);
  const double chance = 100.0 / data.classes;
  const nlohmann::json result = {
      {"protocol", protocol}, {"encoder", encoder.path.string()},
      {"version", build_info().describe()}, {"chance", chance},
      {"random_initialisation", to_json(random)}, {"trained", to_json(trained)}};
  if (o.encoder.is_run()) {
    const auto eval = std::filesystem::path(o.encoder.encoder) / "eval";
    std::filesystem::create_directories(eval);
    std::ofstream(eval / "knn.json") << result.dump(2) << '\n';
  }
  if (o.json) {
    fmt::print("{}\n", result.dump());
    return 0;
  }
  fmt::print("{}\n\n{:<24}", protocol, "accuracy, per cent");
  for (int k : o.k) fmt::print("{:>9}{:>9}", fmt::format("{}-NN", k), "top-5");
  fmt::print("\n");
  std::vector<KnnScore> by_chance;
  for (int k : o.k)
    by_chance.push_back({k, chance, std::min(100.0, 5 * chance)});
  print_row("chance", by_chance);
  print_row("random initialisation", random);
  print_row("this encoder", trained);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, knn_main);
}
