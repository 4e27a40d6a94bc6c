#include "tools/encoder_cli.h"

#include <omp.h>

#include <thread>

namespace music {

void EncoderOptions::add_to(CLI::App& app) {
  app.add_option("encoder", encoder,
                 "a run directory, or an encoder.safetensors")->required();
  app.add_option("--depth", depth, "ResNet depth, where the file does not say");
  app.add_option("--width", width, "ResNet stem width, likewise");
  app.add_option("--stem", stem, "imagenet or cifar, likewise")
      ->check(CLI::IsMember({"imagenet", "cifar"}));
  app.add_option("--image-size", size, "crop size, likewise")
      ->check(CLI::Range(1, 4096));
  app.add_option("--resize", resize,
                 "short side before the centre crop (default: 8/7 of the crop; "
                 "images up to 64 pixels: their own size)")
      ->check(CLI::Range(1, 8192));
  app.add_option("--workers", workers, "loader threads (default: one a core)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--threads", threads, "compute threads (default: all cores)")
      ->check(CLI::Range(0, 1024));
}

OpenedEncoder open_encoder(const EncoderOptions& o) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  omp_set_num_threads(o.threads > 0 ? o.threads : cores);
  OpenedEncoder e;
  e.path = o.encoder;
  if (o.is_run()) e.path /= "encoder.safetensors";
  e.file = SafetensorsFile::open(e.path);
  EncoderInfo assumed;
  assumed.encoder.depth = o.depth;
  assumed.encoder.width = o.width;
  assumed.encoder.stem = o.stem == "cifar" ? Stem::kCifar : Stem::kImageNet;
  assumed.image_size = o.size;
  e.info = read_encoder_info(e.file, e.path.string(), assumed);
  e.features.eval = eval_spec_for(e.info.image_size);
  if (o.resize > 0) e.features.eval.resize = o.resize;
  e.features.pixels = e.info.pixels;
  e.features.workers = o.workers > 0 ? o.workers : cores;
  return e;
}

}  // namespace music
