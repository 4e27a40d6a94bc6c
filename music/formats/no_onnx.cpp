// Builds without libonnx.
#include "engine/core/error.h"
#include "music/formats/onnx_file.h"

namespace music {
namespace {

[[noreturn]] void refuse() {
  throw error(ExitCode::kUsage,
              "[onnx] this build is without ONNX: expected one with libonnx-dev "
              "and libprotobuf-dev installed");
}

}  // namespace

FileDigest write_onnx(const std::filesystem::path&, const EncoderWeights&,
                      const OnnxSpec&) {
  refuse();
}

OnnxContent read_onnx(const std::filesystem::path&) { refuse(); }

}  // namespace music
