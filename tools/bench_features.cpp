// bench_features: pooled features of a ResNet-50 from image files, beside
// torchvision and PyTorch on the same files and weights with the same number of
// threads, in turns.

#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/dataset.h"
#include "dist/threads.h"
#include "engine/core/error.h"
#include "music/eval/features.h"
#include "music/model/encoder_file.h"
#include "tools/bench_peer.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  std::string data, python = "python3", script = MUSIC_PEER_SCRIPT;
  std::int64_t images = 0, batch = 64;
  int threads = 0, reps = 3, size = 224;
  bool no_peer = false;
};

// |ours - theirs| over |theirs|, all rows together.
double difference(const fs::path& file, const std::vector<float>& ours) {
  std::vector<float> theirs(ours.size());
  std::ifstream(file, std::ios::binary)
      .read(reinterpret_cast<char*>(theirs.data()),
            static_cast<std::streamsize>(theirs.size() * sizeof(float)));
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    error += std::pow(double{ours[i]} - double{theirs[i]}, 2);
    norm += std::pow(double{theirs[i]}, 2);
  }
  return std::sqrt(error / norm);
}

int run(int argc, char** argv) {
  CLI::App app("Features of images beside torchvision and PyTorch");
  Options o;
  app.add_option("--data", o.data, "folder or list of JPEGs")->required();
  app.add_option("--images", o.images, "so many of them (default: all)");
  app.add_option("--size", o.size, "of a crop");
  app.add_option("--batch", o.batch, "images")->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "default: the cores it may use");
  app.add_option("--reps", o.reps, "turns of each; the median counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--peer", o.python, "a Python with torch and torchvision");
  app.add_option("--peer-script", o.script, "the same in PyTorch");
  app.add_flag("--no-peer", o.no_peer, "ours alone");
  if (!parse(app, argc, argv)) return 0;
  const dist::Threads threads = dist::choose_threads(o.threads, o.threads);
  o.threads = threads.compute;
  omp_set_num_threads(o.threads);
  const auto dataset = data::subset(
      data::open_dataset(o.data, data::DatasetFormat::kAuto,
                         data::Split::kTrain), o.images, 0);

  std::string folder = (fs::temp_directory_path() / "bench_features_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr)
    throw error(ExitCode::kDiskFull, "[bench_features] cannot create {}", folder);
  const struct Clean {
    const std::string& folder;
    ~Clean() { fs::remove_all(folder); }
  } clean{folder};
  Model model(ModelSpec{.encoder = {}}, false);
  model.parameters().initialise(1);
  save_weights(model, folder, {model.spec().encoder, o.size, {}}, {}, {});
  {
    std::ofstream names(folder + "/names.txt");
    for (std::int64_t i = 0; i < dataset->size(); ++i)
      names << fs::absolute(dataset->name(i)).string() << '\n';
  }
  FeatureSpec spec;
  spec.eval = eval_spec_for(o.size);
  spec.batch = o.batch;
  spec.workers = threads.loader;
  std::vector<float> features;
  const auto measure = [&] {
    const auto start = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    features.clear();
    stream_features(model, *dataset, spec, [&](const FeatureRows& rows) {
      features.insert(features.end(), rows.values,
                      rows.values + rows.n * rows.width);
    });
    return Turn{std::chrono::duration<double>(
                    std::chrono::steady_clock::now() - start).count(),
                cpu_seconds() - cpu};
  };
  const auto images = static_cast<double>(dataset->size());
  fmt::print("ResNet-50, {} x {}, {} images from {}, batch {}, {} compute and {} "
             "loader threads, fp32, medians of {}\n", o.size, o.size,
             dataset->size(), o.data, o.batch, o.threads, threads.loader, o.reps);
  std::fflush(stdout);
  const auto tell = [&](const std::string& who, const Turn& t) {
    fmt::print("{:<44} {:7.2f} images/s, {:6.2f} ms of the processor an image\n",
               who, images / t.seconds, 1e3 * t.cpu / images);
    std::fflush(stdout);
  };
  measure();  // warm
  if (o.no_peer) {
    std::vector<Turn> ours;
    for (int r = 0; r < o.reps; ++r) ours.push_back(measure());
    tell("ours", medians(ours));
    return 0;
  }
  double worst_time = 1e9, worst_cpu = 1e9;
  for (const bool compile : {false, true}) {
    std::vector<std::string> command{
        o.python, o.script, "--folder", folder, "--size", std::to_string(o.size),
        "--batch", std::to_string(o.batch), "--threads",
        std::to_string(o.threads)};
    if (compile) command.push_back("--compile");
    Peer peer(command, o.threads);
    const auto ready = peer.read();
    peer.measure();
    std::vector<Turn> ours, theirs;
    for (int r = 0; r < o.reps; ++r) {
      ours.push_back(measure());
      theirs.push_back(peer.measure());
    }
    peer.close_input();
    peer.read();
    const Turn mine = medians(ours), t = medians(theirs);
    tell("ours", mine);
    tell(fmt::format("PyTorch {}, {}", ready.at("torch").get<std::string>(),
                     ready.at("how").get<std::string>()), t);
    const double apart = difference(folder + "/features.f32", features);
    fmt::print("ratio: time {:.2f}x, processor {:.2f}x; features differ by {:.1e}\n",
               t.seconds / mine.seconds, t.cpu / mine.cpu, apart);
    std::fflush(stdout);
    MUSIC_CHECK(apart < 1e-4, "[bench_features] features differ from the peer's");
    worst_time = std::min(worst_time, t.seconds / mine.seconds);
    worst_cpu = std::min(worst_cpu, t.cpu / mine.cpu);
  }
  fmt::print("beside the faster of them: time {:.2f}x, processor {:.2f}x\n",
             worst_time, worst_cpu);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return music::run_main(argc, argv, run); }
