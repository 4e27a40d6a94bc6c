// bench_data: two views of every image of a real data set, beside torchvision
// with Pillow, and DALI's CPU operators, one thread each.
//
// Times are CPU times, so that other work on the machine matters less; all
// sides take turns, and the fastest round of each counts. SIZE up to 32 takes
// the authors' CIFAR views (bilinear, no blur), others the full stack.

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/loader.h"
#include "data/partial_reader.h"
#include "engine/core/error.h"

namespace {

using namespace music;

struct Options {
  std::string path, python = "python3", dali;
  int size = 224, workers = 0, rounds = 3;
  double seconds = 2;
};

double cpu_seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double wall_seconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

data::LoaderSpec spec_for(const Options& options, data::AugmentMode mode,
                          int workers) {
  data::LoaderSpec spec;
  spec.augment.mode = mode;
  spec.augment.size = options.size;
  spec.batch = options.size > 32 ? 16 : 256;
  spec.workers = workers;
  if (options.size > 32) return spec;
  spec.augment.scale = {0.2, 1.0};
  spec.augment.interpolation = data::Interpolation::kBilinear;
  spec.augment.saturation = 0.4;
  spec.augment.blur = spec.augment.solarize = {0.0, 0.0};
  return spec;
}

std::vector<std::uint8_t> first_batch(const data::Dataset& dataset,
                                      const data::LoaderSpec& spec) {
  data::Loader loader(dataset, spec);
  const auto pixels = loader.next().pixels.span<std::uint8_t>();
  return {pixels.begin(), pixels.end()};
}

// One and three workers agree, and the modes do up to a mean of 1.
void check(const data::Dataset& dataset, const Options& options) {
  using data::AugmentMode;
  const auto make = [&](AugmentMode mode, int workers) {
    return first_batch(dataset, spec_for(options, mode, workers));
  };
  const auto fast = make(AugmentMode::kFast, 1);
  MUSIC_CHECK(fast == make(AugmentMode::kFast, 3),
              "[bench_data] one and three workers differ");
  const auto exact = make(AugmentMode::kExact, 1);
  double difference = 0;
  for (std::size_t i = 0; i < fast.size(); ++i)
    difference += std::abs(fast[i] - exact[i]);
  difference /= static_cast<double>(fast.size());
  MUSIC_CHECK(difference < 1, "[bench_data] the modes differ by {:.2f}, 1 "
              "allowed", difference);
  fmt::print("check: mean difference of the modes {:.2f} of 255\n", difference);
}

struct Rate {
  double cpu_ms, per_second;  // an image; images by the wall
};

// Whole epochs, unless the data set is large.
Rate measure(const data::Dataset& dataset, const data::LoaderSpec& spec,
             double seconds) {
  data::Loader loader(dataset, spec);
  loader.next();
  const double cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  const double wall = wall_seconds();
  const auto whole = std::min<std::int64_t>(dataset.size(), 2048);
  std::int64_t images = 0;
  while (images < whole ||
         cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu < seconds * spec.workers)
    images += loader.next().n;
  const auto n = static_cast<double>(images);
  return {1e3 * (cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / n,
          n / (wall_seconds() - wall)};
}

// Milliseconds an image, and who; 0 where there is none.
double peer(const std::string& script, const std::string& python,
            const Options& options, std::string& name) {
  const std::string command =
      fmt::format("OMP_NUM_THREADS=1 '{}' '{}' '{}' {} {} 2>/dev/null", python,
                  script, options.path, options.size, options.seconds);
  double ms = 0;
  std::array<char, 128> text{};
  if (FILE* pipe = popen(command.c_str(), "r")) {
    if (std::fscanf(pipe, "%lf %127[^\n]", &ms, text.data()) != 2) ms = 0;
    pclose(pipe);
  }
  name = text.data();
  return ms;
}

// What one thread spends its time on in fast mode: the loader's steps, timed
// one by one.
void print_stages(const data::Dataset& dataset, const Options& options) {
  enum { kRead, kDecode, kResize, kColour, kBlur, kStore, kStages };
  constexpr std::array<const char*, kStages> kNames{
      "read", "decode", "resize", "colour", "blur", "store"};
  const auto spec = spec_for(options, data::AugmentMode::kFast, 1).augment;
  std::array<double, kStages> total{};
  double last = 0;
  const auto lap = [&](int stage) {
    const double now = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    total[static_cast<std::size_t>(stage)] += now - last;
    last = now;
  };
  data::PartialReader reader;
  data::Image image;
  data::fast::ViewScratch scratch;
  std::vector<std::uint8_t> file, out(std::size_t{3} * spec.size * spec.size);
  const auto images = std::min<std::int64_t>(dataset.size(), 2048);
  for (int round = 0; round < 2; ++round) {  // the first one warms up
    total = {};
    for (std::int64_t i = 0; i < images; ++i) {
      last = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
      data::ViewPair views;
      const auto draw = [&](int width, int height) {
        views = data::sample_views(spec, 0, 0, static_cast<std::uint32_t>(i),
                                   width, height);
      };
      if (dataset.read_file(i, file)) {
        lap(kRead);
        reader.open(file);
        draw(reader.width(), reader.height());
        data::move_crops(views, reader.read(data::join_crops(views), image));
      } else {
        dataset.read(i, image);
        draw(image.width(), image.height());
      }
      lap(kDecode);
      for (const data::ViewParameters& view : views) {
        data::fast::resize(image, view, spec, scratch);
        lap(kResize);
        data::fast::colour(view, spec, scratch);
        lap(kColour);
        data::fast::blur(view, scratch);
        lap(kBlur);
        data::fast::finish(view, scratch, out.data());
        lap(kStore);
      }
    }
  }
  fmt::print("stages, ms an image:");
  for (std::size_t s = 0; s < kStages; ++s)
    fmt::print(" {} {:.3f}", kNames[s],
               1e3 * total[s] / static_cast<double>(images));
  fmt::print("\n");
}

void run(const Options& options) {
  const auto dataset = data::open_dataset(
      options.path, data::DatasetFormat::kAuto, data::Split::kTrain);
  check(*dataset, options);
  struct Side {
    std::string name;
    std::function<double(std::string&)> ms;
    double best = std::numeric_limits<double>::infinity();
  };
  const auto ours = [&](data::AugmentMode mode) {
    return [&, mode](std::string&) {
      return measure(*dataset, spec_for(options, mode, 1), options.seconds)
          .cpu_ms;
    };
  };
  const auto theirs = [&](const char* script, const std::string& python) {
    return [&options, script, python](std::string& name) {
      return peer(std::string(MUSIC_PEERS) + script, python, options, name);
    };
  };
  std::vector<Side> sides{{"fast mode", ours(data::AugmentMode::kFast)},
                          {"exact mode", ours(data::AugmentMode::kExact)}};
  if (!options.python.empty())
    sides.push_back({"torchvision", theirs("/data_peer.py", options.python)});
  if (!options.dali.empty())
    sides.push_back({"DALI", theirs("/dali_peer.py", options.dali)});
  for (int round = 0; round < options.rounds; ++round)
    for (Side& side : sides) {
      std::string name;
      const double ms = side.ms(name);
      if (ms > 0) side.best = std::min(side.best, ms);
      if (!name.empty()) side.name = name;
    }
  fmt::print("{} images, two views of {} x {} each, one thread, CPU time\n",
             dataset->size(), options.size, options.size);
  for (const Side& side : sides) {
    if (side.best > 1e9) {
      fmt::print("{:<40} not found\n", side.name);
      continue;
    }
    fmt::print("{:<40} {:8.3f} ms/image {:8.0f} images/s {:6.2f} x\n", side.name,
               side.best, 1e3 / side.best, side.best / sides[0].best);
  }
  print_stages(*dataset, options);
  if (options.workers < 1) return;
  Rate one{1e9, 0}, many{1e9, 0};
  for (int round = 0; round < options.rounds; ++round) {
    const auto take = [&](int workers, Rate& best) {
      const Rate r = measure(
          *dataset, spec_for(options, data::AugmentMode::kFast, workers),
          options.seconds);
      best = {std::min(best.cpu_ms, r.cpu_ms),
              std::max(best.per_second, r.per_second)};
    };
    take(1, one);
    take(options.workers, many);
  }
  fmt::print("{} workers beside one: {:.0f} and {:.0f} images/s, {:.2f} x; CPU "
             "{:.3f} and {:.3f} ms/image\n",
             options.workers, many.per_second, one.per_second,
             many.per_second / one.per_second, many.cpu_ms, one.cpu_ms);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the two augmented views of a data set's images.");
  app.add_option("data", options.path, "a data set, as for music_train")
      ->required();
  app.add_option("--size", options.size, "side of a view");
  app.add_option("--workers", options.workers,
                 "so many loader threads beside one, by the wall; 0 = skip");
  app.add_option("--seconds", options.seconds, "of one measurement");
  app.add_option("--rounds", options.rounds, "of which the fastest counts");
  app.add_option("--python", options.python,
                 "a Python with torchvision; \"\" = skip");
  app.add_option("--dali", options.dali, "a Python with DALI; \"\" = skip");
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
  } catch (const Error& failure) {
    fmt::print(stderr, "{}\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
