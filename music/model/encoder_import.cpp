#include "music/model/encoder_import.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

#include "engine/core/text.h"
#include "engine/io/state_dict.h"
#include "layers/resnet.h"
#include "music/model/encoder_keys.h"
#include "music/model/foreign_weights.h"

namespace music {
namespace {

using State = KeyReport::State;
constexpr std::string_view kTracked = "num_batches_tracked";

// Of a tensor that belongs to no encoder of ours: does it change what the
// network computes?
bool inside_network(const std::string& name) {
  const std::string_view part =
      std::string_view(name).substr(0, name.find('.'));
  return part == "conv1" || part == "bn1" || part.starts_with("layer");
}

// The trained network's other ends, which features do not pass.
bool is_head(const std::string& name) {
  for (const char* start : {"fc.", "head", "classifier", "projector",
                            "projection", "predict", "prototypes", "last_linear",
                            "online_", "global_pool", "avgpool"})
    if (name.starts_with(start)) return true;
  return false;
}

std::int64_t integer(const TensorEntry& entry) {
  std::int64_t value = -1;
  if (entry.dtype == DType::kI64 && entry.data.size() == sizeof value)
    std::memcpy(&value, entry.data.data(), sizeof value);
  return value;
}

std::string hash_of(const std::vector<NamedTensor>& tensors) {
  Xxh3 hash;
  for (const NamedTensor& t : tensors) {
    const std::string head =
        fmt::format("{} [{}]\n", t.name, fmt::join(t.shape, ","));
    hash.update(std::as_bytes(std::span(head)));
    hash.update(std::as_bytes(std::span(t.values)));
  }
  return hash.digest().xxh3_128;
}

// The tensors of the network, and what became of each key.
void match(const EncoderKeys& keys, EncoderWeights& out) {
  Parameters parameters;
  const ResNet network(parameters, "", out.info.encoder);
  const auto take = [&](const ParameterInfo& wanted) {
    const auto shape = file_shape(wanted.shape);
    const TensorEntry* found = keys.find(wanted.name);
    if (!found) {
      out.report.rows.push_back(
          {State::kMissing, wanted.name,
           fmt::format("expected [{}]", fmt::join(shape, ","))});
    } else if (found->shape != shape) {
      out.report.rows.push_back(
          {State::kShape, found->name,
           fmt::format("[{}], expected [{}]", fmt::join(found->shape, ","),
                       fmt::join(shape, ","))});
    } else {
      const bool same = found->name == keys.prefix + wanted.name;
      out.report.rows.push_back(
          {State::kMatched, found->name, same ? "" : "is " + wanted.name});
      out.tensors.push_back(
          {wanted.name, shape, float_values(*found, out.report.file)});
      if (found->dtype != DType::kF32)
        ++out.report.converted[std::string(name_of(found->dtype))];
    }
  };
  for (const ParameterInfo& p : parameters.table()) take(p);
  for (const ParameterInfo& b : parameters.buffers()) take(b);

  const auto known = [&](const std::string& name) {
    const auto is = [&](const ParameterInfo& p) { return p.name == name; };
    return std::ranges::any_of(parameters.table(), is) ||
           std::ranges::any_of(parameters.buffers(), is);
  };
  for (const auto& [name, tensor] : keys.tensors)
    if (!known(name) && !name.ends_with(kTracked))
      out.report.rows.push_back(
          {is_head(name) ? State::kIgnored : State::kUnexpected, tensor->name,
           fmt::format("[{}]", fmt::join(tensor->shape, ","))});
  for (const std::string& key : keys.elsewhere)
    out.report.rows.push_back({State::kIgnored, key, ""});
  out.report.others = keys.others;
}

// What kind of export lacks these, where it is known.
std::string kind_of(const EncoderKeys& keys) {
  if (!keys.find("conv1.bias") && !keys.find("layer1.0.conv1.bias")) {
    if (keys.find("bn1.weight") && !keys.find("bn1.running_mean"))
      return ": it was saved without running statistics, or has other norms than "
             "batch norm";
    return "";
  }
  return keys.find("layer1.0.bn1.running_mean")
             ? ""
             : ": its batch norms were folded into the convolutions, for "
               "inference, and cannot be told from them again; save the network "
               "before that";
}

void require_all(const EncoderKeys& keys, const KeyReport& report) {
  bool foreign = false;
  for (const auto& row : report.rows)
    foreign |= row.state == State::kUnexpected &&
               inside_network(row.key.substr(keys.prefix.size()));
  if (report.count(State::kMatched) == report.wanted() && !foreign) return;
  throw error(ExitCode::kData,
              "[weights] {}: {}{}: expected every tensor of the encoder and none "
              "besides in its layers (music_inspect lists the file)",
              report.file, report.summary(), kind_of(keys));
}

}  // namespace

void EncoderWeights::load_into(Parameters& parameters,
                               const std::string& prefix) const {
  const auto fill = [&](const ParameterInfo& info, const Tensor& out) {
    if (!info.name.starts_with(prefix + ".")) return;
    const std::string name = info.name.substr(prefix.size() + 1);
    const auto t = std::ranges::find(tensors, name, &NamedTensor::name);
    const auto shape = file_shape(info.shape);
    if (t == tensors.end() || t->shape != shape)
      throw error(ExitCode::kData,
                  "[weights] {}: found a {}, expected the encoder of this "
                  "configuration, with {} [{}]",
                  report.file, report.model, name, fmt::join(shape, ","));
    set_from_file_order(out, t->values);
  };
  for (std::size_t i = 0; i < parameters.table().size(); ++i)
    fill(parameters.table()[i], parameters.value(static_cast<int>(i)));
  for (std::size_t i = 0; i < parameters.buffers().size(); ++i)
    fill(parameters.buffers()[i], parameters.buffer(static_cast<int>(i)));
}

EncoderWeights import_encoder(const SafetensorsFile& file,
                              const std::string& file_name,
                              const EncoderImport& options) {
  const EncoderKeys keys = find_encoder(file, file_name, options.prefix);
  const ResNetSpec spec = spec_of(keys, file_name);
  EncoderWeights out;
  EncoderInfo assumed = options.assumed;
  assumed.encoder.depth = spec.depth;
  assumed.encoder.width = spec.width;
  assumed.encoder.stem = spec.stem;
  if (assumed.image_size <= 0)
    assumed.image_size = spec.stem == Stem::kCifar ? 32 : 224;
  out.info = read_encoder_info(file, file_name, assumed);
  if (const std::string says = describe(out.info.encoder);
      says != describe(spec))
    throw error(ExitCode::kData,
                "[weights] {}: tensors of {}, expected {} by its metadata",
                file_name, describe(spec), says);
  out.metadata = file.metadata();
  out.report.file = file_name;
  out.report.model = describe(spec);
  out.report.prefix = keys.prefix;
  match(keys, out);
  require_all(keys, out.report);
  require_sound(out.tensors, file_name);

  std::int64_t batches = -1;
  for (const auto& [name, tensor] : keys.tensors)
    if (name.ends_with(kTracked)) batches = std::max(batches, integer(*tensor));
  out.doubts = signs_of_random(out.tensors, batches);
  out.misfits = require_fit(out.tensors, file_name);
  out.batches = std::max<std::int64_t>(batches, 0);
  out.hash = hash_of(out.tensors);
  return out;
}

EncoderWeights open_encoder_file(const std::filesystem::path& path,
                                 const EncoderImport& options) {
  const std::filesystem::path in_run = path / "encoder.safetensors";
  if (std::filesystem::is_regular_file(in_run))
    return open_encoder_file(in_run, options);
  refuse_foreign(path);
  FileDigest digest;
  const auto file = SafetensorsFile::open(path, &digest);
  EncoderWeights out = import_encoder(file, path.string(), options);
  out.digest = std::move(digest);
  return out;
}

void log_report(const EncoderWeights& weights, bool keys) {
  const KeyReport& report = weights.report;
  spdlog::info("[weights] {}: {}", report.file, report.summary());
  if (keys)
    for (const std::string& line : report.lines())
      spdlog::info("[weights] {}", line);
  if (!weights.doubts.empty())
    spdlog::warn("[weights] {} LOOKS RANDOMLY INITIALISED: {}", report.file,
                 fmt::join(weights.doubts, "; "));
  if (!weights.misfits.empty())
    spdlog::warn("[weights] {}: DO NOT FIT THE BATCH NORMS AROUND THEM: {}: are "
                 "tensors exchanged?", report.file,
                 fmt::join(weights.misfits, ", "));
}

}  // namespace music
