#pragma once
// Trained weights as files: encoder.safetensors (torchvision's names) and one
// for each head, projector.safetensors; their metadata says what they are.

#include <filesystem>
#include <map>
#include <string>

#include "engine/io/safetensors.h"
#include "music/model/model.h"

namespace music {

// What an encoder file tells about itself.
struct EncoderInfo {
  static constexpr int kMostSize = 4096;

  ResNetSpec encoder;
  int image_size = 224;
  data::PixelStats pixels;
};

// num_batches_tracked.
struct TrackedBatches {
  std::int64_t encoder = 0, heads = 0;
};

// Writes the files of a trained model, or for a value that is not finite none
// (kNumerical). `provenance` goes into the metadata (config hash, version, step).
void save_weights(Model& model, const std::filesystem::path& directory,
                  const EncoderInfo& info, TrackedBatches batches,
                  std::map<std::string, std::string> provenance);

// The metadata of an encoder file, over the defaults in `assumed` for a file
// that was written elsewhere. Throws kData for metadata that makes no sense.
EncoderInfo read_encoder_info(const SafetensorsFile& file,
                              const std::string& file_name,
                              EncoderInfo assumed = {});

}  // namespace music
