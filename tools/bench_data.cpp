// Loader throughput: two views of every image of a real data set.
//
//   bench_data DATA [SIZE [WORKERS [PYTHON]]]     default 224, 1, python3
//
// SIZE up to 32 takes the authors' CIFAR views (bilinear, no blur), others the
// full stack. Checks that one and several workers give the same bytes before
// it times; then the same views in torchvision (tools/peers/data_peer.py), one
// thread, where PYTHON has it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "data/loader.h"
#include "engine/core/error.h"

namespace {

using namespace music;

constexpr double kSeconds = 5;

data::LoaderSpec spec_for(int size, int workers, std::int64_t images) {
  data::LoaderSpec spec;
  spec.augment.size = size;
  spec.batch = std::min<std::int64_t>(size > 32 ? 16 : 256, images);
  spec.workers = workers;
  if (size > 32) return spec;
  spec.augment.scale = {0.2, 1.0};
  spec.augment.interpolation = data::Interpolation::kBilinear;
  spec.augment.saturation = 0.4;
  spec.augment.blur = spec.augment.solarize = {0.0, 0.0};
  return spec;
}

std::vector<std::uint8_t> first_batch(const data::Dataset& dataset, int size,
                                      int workers) {
  data::Loader loader(dataset, spec_for(size, workers, dataset.size()));
  const auto pixels = loader.next().pixels.span<std::uint8_t>();
  return {pixels.begin(), pixels.end()};
}

// Images a second in torchvision, 0 where there is none.
double peer(const std::string& path, int size, const std::string& python) {
  const std::string command =
      fmt::format("OMP_NUM_THREADS=1 '{}' '{}' '{}' {} 2>/dev/null", python,
                  MUSIC_PEER_SCRIPT, path, size);
  double rate = 0;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    if (std::fscanf(pipe, "%lf", &rate) != 1) rate = 0;
    pclose(pipe);
  }
  return rate;
}

void run(const std::string& path, int size, int workers,
         const std::string& python) {
  const auto dataset = data::open_dataset(path, data::DatasetFormat::kAuto,
                                          data::Split::kTrain);
  MUSIC_CHECK(first_batch(*dataset, size, 1) == first_batch(*dataset, size, 3),
              "[bench] one and three workers differ");
  data::Loader loader(*dataset, spec_for(size, workers, dataset->size()));
  loader.next();
  std::int64_t images = 0;
  double seconds = 0;
  const auto begin = std::chrono::steady_clock::now();
  while (seconds < kSeconds) {
    images += loader.next().n;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                            begin)
                  .count();
  }
  const double rate = static_cast<double>(images) / seconds;
  fmt::print("{0} x {0}, {1} worker(s): {2:.0f} images/s, {3:.0f} views/s, {4} "
             "bad images\n",
             size, workers, rate, 2 * rate, loader.quarantine().size());
  std::fflush(stdout);
  const double theirs = peer(path, size, python);
  if (theirs > 0)
    fmt::print("torchvision, one thread: {:.0f} images/s; ratio per worker "
               "{:.1f}\n",
               theirs, rate / workers / theirs);
  else
    fmt::print("torchvision: not found by {}\n", python);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_data DATA [SIZE [WORKERS [PYTHON]]]\n");
    return static_cast<int>(ExitCode::kUsage);
  }
  try {
    run(argv[1], argc > 2 ? std::atoi(argv[2]) : 224,
        argc > 3 ? std::atoi(argv[3]) : 1, argc > 4 ? argv[4] : "python3");
  } catch (const Error& failure) {
    fmt::print(stderr, "{}\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
