#pragma once
// An encoder from a file of whatever origin: torchvision, timm, VICReg, ours.
// A tensor that is missing, or one too many inside the network, is refused:
// an encoder that is partly random scores like a bad one and says nothing.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/graph/parameters.h"
#include "music/model/encoder_file.h"
#include "music/model/key_report.h"
#include "music/model/weight_checks.h"

namespace music {

struct EncoderWeights {
  EncoderInfo info;
  std::map<std::string, std::string> metadata;
  std::vector<NamedTensor> tensors;  // every one of the encoder's, in its order
  KeyReport report;
  // Why they look as drawn at random; empty: they look trained.
  std::vector<std::string> doubts;
  // Convolutions that do not fit their batch norms (weight_checks.h).
  std::vector<std::string> misfits;
  std::int64_t batches = 0;  // num_batches_tracked, 0 where there is none
  // XXH3-128 of names, shapes and fp32 values: equal weights have equal hashes,
  // whatever the file's prefix, order and heads.
  std::string hash;
  FileDigest digest;  // of the whole file

  // Fills the parameters and buffers under the prefix, on the host. kData where
  // they are another network's.
  void load_into(Parameters& parameters, const std::string& prefix) const;
};

struct EncoderImport {
  std::string prefix;  // as find_encoder() takes it
  // Image size and pixels where the file does not say; size 0: 224, or 32 with
  // the CIFAR stem.
  EncoderInfo assumed = {.encoder = {}, .image_size = 0, .pixels = {}};
};

// kData with the report's summary where less than everything matches.
EncoderWeights import_encoder(const SafetensorsFile& file,
                              const std::string& file_name,
                              const EncoderImport& options = {});

// The same from a path, of a file or of a run directory; a pickle and other
// formats are answered with the command that converts them.
EncoderWeights open_encoder_file(const std::filesystem::path& path,
                                 const EncoderImport& options = {});

// Logs the report, one line or every key, and a warning where the weights look
// untrained.
void log_report(const EncoderWeights& weights, bool keys = false);

}  // namespace music
