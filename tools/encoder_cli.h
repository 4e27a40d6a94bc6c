#pragma once
// The command line evaluators share: which encoder, and how images reach it.

#include <filesystem>
#include <string>

#include "music/encoder_file.h"
#include "music/eval/features.h"
#include "tools/cli.h"

namespace music {

struct EncoderOptions {
  std::string encoder;  // a run directory, or an encoder.safetensors
  int depth = 50, width = 64, size = 224, resize = 0;
  std::string stem = "imagenet";
  int workers = 0, threads = 0;

  void add_to(CLI::App& app);
  bool is_run() const { return std::filesystem::is_directory(encoder); }
};

// An encoder file with what is needed to run it.
struct OpenedEncoder {
  std::filesystem::path path;
  SafetensorsFile file;
  EncoderInfo info;
  FeatureSpec features;
};

// Opens the file and sets the process's compute threads.
OpenedEncoder open_encoder(const EncoderOptions& options);

}  // namespace music
