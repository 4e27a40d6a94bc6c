#pragma once
// An encoder, with or without its projector, as an ONNX graph: opset 13, batch
// norms in evaluation mode, any number of images of one size.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "music/model/encoder_import.h"

namespace music {

struct OnnxSpec {
  // What the input is: normalised images, "image"; or RGB from 0 to 255,
  // "rgb", and the graph normalises. Both are f32 [n,3,size,size].
  bool normalise = false;
  std::vector<NamedTensor> projector;  // "0.weight", ...; empty: none
  // Of the code; empty: none. Needs the projector.
  std::vector<std::int64_t> segments;
};

// Outputs: "features" f32 [n,d]; with a projector "embedding" f32 [n,D]; with
// segments "codes" i64 [n,S], the unit in each that is largest. onnx's checker
// and shape inference have passed what is written. kUsage for more than 1.9
// GiB, which one file cannot hold, and in builds without libonnx.
FileDigest write_onnx(const std::filesystem::path& path,
                      const EncoderWeights& encoder, const OnnxSpec& spec);

struct OnnxContent {
  struct Tensor { std::string name, dtype, shape; };
  std::vector<Tensor> inputs, outputs, initializers;
  std::vector<std::pair<std::string, int>> operators;  // and how many
  std::vector<std::pair<std::string, std::string>> metadata;
};

// kData when it is no ONNX file; kUsage in builds without libonnx.
OnnxContent read_onnx(const std::filesystem::path& path);

}  // namespace music
