#pragma once
// The command line evaluators share: which encoder, and how images reach it.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "music/config/compute.h"
#include "music/eval/features.h"
#include "music/model/encoder_file.h"
#include "tools/cli.h"

namespace music {

struct EncoderOptions {
  std::string encoder;  // a run directory, or an encoder.safetensors
  int depth = 50, width = 64, size = 224, resize = 0;
  std::string stem = "imagenet";
  int workers = 0, threads = 0;
  std::string device = "auto", precision = "fp32";

  void add_to(CLI::App& app);
  bool is_run() const { return std::filesystem::is_directory(encoder); }
};

// An encoder file with what is needed to run it.
struct OpenedEncoder {
  std::filesystem::path path;
  SafetensorsFile file;
  EncoderInfo info;
  FeatureSpec features;
  Compute compute;

  // A model of its shape with random weights.
  std::unique_ptr<Model> random_model(std::uint64_t seed) const;
  // Gives the model the file's weights.
  void load_into(Model& model) const;
};

// Opens the file, settles the device and sets the process's compute threads.
OpenedEncoder open_encoder(const EncoderOptions& options);

// Options --device and --precision, for programs that compute.
void add_compute_options(CLI::App& app, std::string& device,
                         std::string& precision);
Compute choose_compute(const std::string& device, const std::string& precision);

}  // namespace music
