#include "music/model/encoder_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/core/text.h"
#include "engine/io/finite.h"
#include "engine/io/state_dict.h"

namespace music {
namespace {

constexpr const char* kDepth = "resnet_depth";
constexpr const char* kWidth = "resnet_width";
constexpr const char* kStem = "resnet_stem";
constexpr const char* kInit = "resnet_init";
constexpr const char* kZeroInit = "resnet_zero_init_residual";
constexpr const char* kSize = "image_size";
constexpr const char* kMean = "pixel_mean";
constexpr const char* kStd = "pixel_std";

std::string text(const std::array<float, 3>& v) {
  return fmt::format("{},{},{}", v[0], v[1], v[2]);
}

template <typename T>
const char* read_number(const char* p, const char* end, T& out, bool& ok) {
  const auto [next, problem] = std::from_chars(p, end, out);
  ok &= problem == std::errc();
  return next;
}

}  // namespace

void save_weights(Model& model, const std::filesystem::path& directory,
                  const EncoderInfo& info, TrackedBatches batches,
                  std::map<std::string, std::string> provenance) {
  provenance[kDepth] = std::to_string(info.encoder.depth);
  provenance[kWidth] = std::to_string(info.encoder.width);
  provenance[kStem] = info.encoder.stem == Stem::kCifar ? "cifar" : "imagenet";
  provenance[kInit] =
      info.encoder.init == InitScheme::kPyTorch ? "pytorch" : "kaiming_fan_out";
  provenance[kZeroInit] = info.encoder.zero_init_residual ? "true" : "false";
  provenance[kSize] = std::to_string(info.image_size);
  provenance[kMean] = text(info.pixels.mean);
  provenance[kStd] = text(info.pixels.std);
  HostParameters parameters(model.parameters());
  std::vector<std::string> prefixes;
  for (const ParameterInfo& p : parameters->table()) {
    const std::string prefix = p.name.substr(0, p.name.find('.'));
    if (std::ranges::find(prefixes, prefix) == prefixes.end())
      prefixes.push_back(prefix);
  }
  std::vector<std::pair<std::filesystem::path, StateDict>> files;
  for (const std::string& prefix : prefixes) {
    const std::string name = prefix == Model::kEncoder ? "encoder" : prefix;
    const auto& [path, state] = files.emplace_back(
        directory / (name + ".safetensors"),
        export_state(*parameters, prefix,
                     prefix == Model::kEncoder ? batches.encoder : batches.heads));
    if (const auto bad = not_finite(state.entries))
      throw error(ExitCode::kNumerical, "[weights] {} is not written: {}",
                  path.string(), *bad);
  }
  for (const auto& [path, state] : files)
    write_safetensors(path, state.entries, provenance);
}

EncoderInfo read_encoder_info(const SafetensorsFile& file,
                              const std::string& file_name, EncoderInfo info) {
  const auto& metadata = file.metadata();
  const auto read = [&](const char* key, const std::string& expected,
                        auto&& parse) {
    const auto it = metadata.find(key);
    if (it == metadata.end()) return;
    const char* begin = it->second.data();
    if (!parse(begin, begin + it->second.size()))
      throw error(ExitCode::kData, "[weights] {}: metadata {} is {}, expected {}",
                  file_name, key, in_quotes(it->second), expected);
  };
  const auto integer = [](int& out, const auto& holds) {
    return [&out, holds](const char* p, const char* end) {
      bool ok = true;
      return read_number(p, end, out, ok) == end && ok && holds(out);
    };
  };
  const auto triple = [](std::array<float, 3>& out, const auto& holds) {
    return [&out, holds](const char* p, const char* end) {
      bool ok = true;
      for (std::size_t i = 0; i < 3; ++i) {
        p = read_number(p, end, out[i], ok);
        if (i < 2) ok &= p != end && *p++ == ',';
        if (!ok || !holds(out[i])) return false;
      }
      return p == end;
    };
  };
  const auto up_to = [&](const char* key, int& out, int most) {
    read(key, fmt::format("1 to {}", most),
         integer(out, [most](int v) { return v >= 1 && v <= most; }));
  };
  read(kDepth, fmt::format("one of {}", fmt::join(ResNetSpec::kDepths, ", ")),
       integer(info.encoder.depth, [](int v) {
         return std::ranges::count(ResNetSpec::kDepths, v) == 1;
       }));
  up_to(kWidth, info.encoder.width, ResNetSpec::kMostWidth);
  up_to(kSize, info.image_size, EncoderInfo::kMostSize);
  // As of augment.mean and augment.std; NaN is neither.
  read(kMean, "three numbers from 0 to 1",
       triple(info.pixels.mean, [](float v) { return v >= 0 && v <= 1; }));
  read(kStd, "three numbers above 0, up to 10",
       triple(info.pixels.std, [](float v) {
         return v > 0 && v <= 10 && std::isfinite(1 / v);
       }));
  const auto choice = [&](const char* key, auto& out, const char* first,
                          auto a, const char* second, auto b) {
    read(key, fmt::format("{} or {}", first, second),
         [&](const char* p, const char* end) {
           const std::string_view v(p, static_cast<std::size_t>(end - p));
           out = v == first ? a : b;
           return v == first || v == second;
         });
  };
  choice(kStem, info.encoder.stem, "cifar", Stem::kCifar, "imagenet",
         Stem::kImageNet);
  choice(kInit, info.encoder.init, "pytorch", InitScheme::kPyTorch,
         "kaiming_fan_out", InitScheme::kKaimingFanOut);
  choice(kZeroInit, info.encoder.zero_init_residual, "true", true, "false",
         false);
  return info;
}

}  // namespace music
