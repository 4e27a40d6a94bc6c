#include "music/eval/feature_executable.h"

namespace music {
namespace {

ExecutableOptions options_for(Device device) {
  ExecutableOptions options = executable_options_from_environment();
  options.device = device;
  return options;
}

}  // namespace

FeatureExecutable::FeatureExecutable(Model& model, std::int64_t batch, int size,
                                     const data::PixelStats& pixels,
                                     FeatureKind kind)
    : device_(model.parameters().device()),
      graph_(model.feature_graph(batch, size, pixels, kind)),
      executable_(std::move(graph_.graph), model.parameters(),
                  options_for(device_)),
      arena_(executable_.arena_bytes(), memory_of(device_)),
      workspace_(executable_.workspace_bytes(), memory_of(device_)) {
  executable_.bind(arena_.data(), workspace_.data());
  if (device_ != Device::kCpu)
    pixels_ = Buffer(executable_.tensor(graph_.pixels).bytes(),
                     memory_of(device_));
}

void FeatureExecutable::run(const void* pixels, std::int64_t n,
                            float* features) {
  if (device_ != Device::kCpu) {
    upload(pixels_.data(), pixels, pixels_.bytes(), device_);
    pixels = pixels_.data();
  }
  executable_.set_input(graph_.pixels, pixels);
  executable_.run();
  const Tensor out = executable_.tensor(graph_.features);
  const auto rows = static_cast<std::size_t>(n);
  download(features, out.data,
           out.bytes() / static_cast<std::size_t>(out.shape[0]) * rows, device_);
}

}  // namespace music
