#include "tools/encoder_cli.h"

#include <omp.h>

#include <algorithm>

#include "dist/threads.h"

namespace music {

void EncoderSource::add_to(CLI::App& app) {
  app.add_option("encoder", encoder,
                 "a run directory, or a .safetensors of any origin: torchvision, "
                 "timm, VICReg, ...")->required();
  app.add_option("--prefix", prefix,
                 "of the encoder's keys, where the file holds several encoders");
  app.add_option("--report", report,
                 "on the file's keys: compact, one line, or keys, all of them")
      ->check(CLI::IsMember({"compact", "keys"}));
  app.add_option("--image-size", size,
                 "crop size, where the file does not say (default: 224, or 32 "
                 "with a CIFAR stem)")
      ->check(CLI::Range(1, EncoderInfo::kMostSize));
  app.add_option("--mean", mean,
                 "of pixels, r,g,b from 0 to 1, likewise (default: ImageNet's)")
      ->delimiter(',')->expected(3)->check(CLI::Range(0.0, 1.0));
  app.add_option("--std", std, "likewise")
      ->delimiter(',')->expected(3)->check(CLI::Range(1e-3, 10.0));
}

std::filesystem::path EncoderSource::path() const {
  const std::filesystem::path named = encoder;
  return is_run() ? named / "encoder.safetensors" : named;
}

EncoderWeights open_source(const EncoderSource& o) {
  EncoderImport import{.prefix = o.prefix};
  import.assumed.image_size = o.size;
  if (!o.mean.empty()) std::ranges::copy(o.mean, import.assumed.pixels.mean.begin());
  if (!o.std.empty()) std::ranges::copy(o.std, import.assumed.pixels.std.begin());
  EncoderWeights weights = open_encoder_file(o.path(), import);
  log_report(weights, o.report == "keys");
  return weights;
}

void EncoderOptions::add_to(CLI::App& app) {
  EncoderSource::add_to(app);
  app.add_option("--resize", resize,
                 "short side before the centre crop (default: 8/7 of the crop; "
                 "images up to 64 pixels: their own size)")
      ->check(CLI::Range(1, 8192));
  app.add_option("--pillow", pillow,
                 "whose resize: Pillow's up to 12, or from 13 on")
      ->check(CLI::Range(data::Resampling::kEarlier, data::Resampling::kToday))
      ->capture_default_str();
  app.add_option("--workers", workers, "loader threads (default: one a core)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--threads", threads, "compute threads (default: all cores)")
      ->check(CLI::Range(0, 1024));
  add_compute_options(app, device, precision);
}

namespace {

std::unique_ptr<Model> random_model_of(const ModelSpec& spec,
                                       const Compute& compute,
                                       std::uint64_t seed) {
  auto model = std::make_unique<Model>(
      spec,
      ParameterStorage{.device = compute.device, .compute = compute.dtype});
  model->allocate();
  model->parameters().initialise(seed);
  return model;
}

}  // namespace

std::unique_ptr<Model> OpenedEncoder::random_model(std::uint64_t seed) const {
  return random_model_of(ModelSpec{info.encoder}, compute, seed);
}

std::unique_ptr<Model> OpenedEncoder::random_model(std::uint64_t seed,
                                                   const HeadSpec& head) const {
  ModelSpec spec{info.encoder};
  spec.head = head;
  return random_model_of(spec, compute, seed);
}

void OpenedEncoder::load_into(Model& model) const {
  HostParameters parameters(model.parameters());
  weights.load_into(*parameters, Model::kEncoder);
  parameters.write_back();
}

void add_compute_options(CLI::App& app, std::string& device,
                         std::string& precision) {
  app.add_option("--device", device, "auto (a GPU where there is one), cpu, cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  app.add_option("--precision", precision,
                 "of activations: fp32, or fp16, bf16 on a GPU")
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}));
}

Compute choose_compute(const std::string& device,
                       const std::string& precision, int index) {
  return choose_compute(device == "cpu"    ? DeviceChoice::kCpu
                        : device == "cuda" ? DeviceChoice::kCuda
                                           : DeviceChoice::kAuto,
                        precision == "fp16"   ? Precision::kF16
                        : precision == "bf16" ? Precision::kBF16
                        : precision == "fp32" ? Precision::kF32
                                              : Precision::kAuto,
                        index);
}

OpenedEncoder open_encoder(const EncoderOptions& o,
                           dist::Communicator* communicator) {
  const dist::Threads threads =
      communicator ? dist::choose_threads(*communicator, o.threads, o.workers)
                   : dist::choose_threads(o.threads, o.workers);
  omp_set_num_threads(threads.compute);
  OpenedEncoder e;
  e.compute = choose_compute(o.device, o.precision,
                             communicator ? communicator->local_rank() : 0);
  e.path = o.path();
  e.weights = open_source(o);
  e.info = e.weights.info;
  e.features.eval = eval_spec_for(e.info.image_size);
  if (o.resize > 0) e.features.eval.resize = o.resize;
  e.features.eval.pillow = o.pillow;
  e.features.pixels = e.info.pixels;
  e.features.workers = threads.loader;
  return e;
}

}  // namespace music
