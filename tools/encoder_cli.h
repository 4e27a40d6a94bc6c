#pragma once
// The command line evaluators share: which encoder, and how images reach it.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "music/config/compute.h"
#include "music/eval/features.h"
#include "music/model/encoder_import.h"
#include "tools/cli.h"

namespace music {

// Which encoder, and what its file does not say.
struct EncoderSource {
  std::string encoder;  // a run directory, or a .safetensors of any origin
  std::string prefix, report = "compact";
  int size = 0;
  std::vector<float> mean, std;

  void add_to(CLI::App& app);
  bool is_run() const { return std::filesystem::is_directory(encoder); }
  std::filesystem::path path() const;  // of the file
};

// Opens the file, logs what became of its keys and a warning where its weights
// look untrained.
EncoderWeights open_source(const EncoderSource& source);

struct EncoderOptions : EncoderSource {
  int resize = 0, workers = 0, threads = 0;
  int pillow = data::Resampling::kToday;
  std::string device = "auto", precision = "fp32";

  void add_to(CLI::App& app);
};

// An encoder with what is needed to run it.
struct OpenedEncoder {
  std::filesystem::path path;
  EncoderWeights weights;  // with the report on the file's keys and the hash
  EncoderInfo info;
  FeatureSpec features;
  Compute compute;

  // Of the encoder's tensors, hexadecimal: the same for the same weights.
  const std::string& hash() const { return weights.hash; }
  // A model of its shape with random weights.
  std::unique_ptr<Model> random_model(std::uint64_t seed) const;
  // The same with a head, for embeddings.
  std::unique_ptr<Model> random_model(std::uint64_t seed,
                                      const HeadSpec& head) const;
  // Gives the model the file's weights; a head keeps its own.
  void load_into(Model& model) const;
};

// open_source(); settles the device and sets the process's compute threads; of
// one of several processes, on its part of the machine.
OpenedEncoder open_encoder(const EncoderOptions& options,
                           dist::Communicator* communicator = nullptr);

// Options --device and --precision, for programs that compute.
void add_compute_options(CLI::App& app, std::string& device,
                         std::string& precision);
// index: of the GPU, a process's local rank.
Compute choose_compute(const std::string& device, const std::string& precision,
                       int index = 0);

}  // namespace music
