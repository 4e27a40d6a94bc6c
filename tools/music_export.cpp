// music_export: an encoder, its heads or its codes in the formats of others.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <set>

#include "data/written_name.h"
#include "engine/core/log.h"
#include "engine/core/text.h"
#include "engine/io/pickle_file.h"
#include "music/formats/detectron2.h"
#include "engine/io/state_dict.h"
#include "music/formats/onnx_file.h"
#include "tools/encoder_cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  EncoderSource source;
  std::string to, part = "encoder", out, fc, input = "normalised",
                  recipe = "vissl_1x";
};

void add_options(CLI::App& app, Options& o) {
  o.source.add_to(app);
  app.add_option("--to", o.to,
                 "safetensors; pth, for torch.load(weights_only=True); detectron2, "
                 "its names as .pth or .pkl and the YAML of the C4 1x recipe beside "
                 "it; onnx; npz")->required()
      ->check(CLI::IsMember({"safetensors", "pth", "detectron2", "onnx", "npz"}));
  app.add_option("--part", o.part,
                 "encoder; projector; heads, all that a run has beside the encoder; "
                 "codes, from pixels to MUSIC's codes: encoder and projector as "
                 "backbone. and projector., in ONNX with the codes as an output")
      ->check(CLI::IsMember({"encoder", "projector", "heads", "codes"}));
  app.add_option("--out", o.out, "the file, whole or absent")->required();
  app.add_option("--fc", o.fc,
                 "zeros: also a classifier fc of 1,000 classes, all 0, for strict "
                 "loading into a torchvision model as it comes")
      ->check(CLI::IsMember({"zeros"}));
  app.add_option("--input", o.input,
                 "of ONNX: normalised, or rgb from 0 to 255, which the graph "
                 "normalises")
      ->check(CLI::IsMember({"normalised", "rgb"}));
  app.add_option("--recipe", o.recipe,
                 "of detectron2's YAML: vissl_1x, or plain_1x, detectron2's own")
      ->check(CLI::IsMember({"vissl_1x", "plain_1x"}));
}

// Tensors to write, and the memory they point into.
struct Content {
  std::vector<TensorEntry> entries;
  std::map<std::string, std::string> metadata;
  std::deque<SafetensorsFile> files;
  std::deque<std::vector<float>> values;
  std::int64_t batches = 0;

  void add(const std::string& name, const NamedTensor& t) {
    entries.push_back({name, DType::kF32, t.shape,
                       std::as_bytes(std::span(t.values))});
  }
  void add_zeros(const std::string& name, std::vector<std::int64_t> shape) {
    std::size_t n = 1;
    for (const std::int64_t d : shape) n *= static_cast<std::size_t>(d);
    values.emplace_back(n, 0.0f);
    entries.push_back({name, DType::kF32, std::move(shape),
                       std::as_bytes(std::span(values.back()))});
  }
  // torchvision's names in its order: running statistics and the counter
  // behind the batch norm's shift.
  void add_encoder(const EncoderWeights& weights, const std::string& prefix) {
    metadata = weights.metadata;
    metadata["encoder_hash"] = weights.hash;
    batches = weights.batches;
    const auto find = [&](const std::string& name) {
      return std::ranges::find(weights.tensors, name, &NamedTensor::name);
    };
    for (const NamedTensor& t : weights.tensors) {
      if (t.name.find(".running_") != t.name.npos) continue;
      add(prefix + t.name, t);
      if (!t.name.ends_with(".bias")) continue;
      const std::string norm = t.name.substr(0, t.name.size() - 4);
      for (const char* statistic : {"running_mean", "running_var"})
        add(prefix + norm + statistic, *find(norm + statistic));
      entries.push_back({prefix + norm + "num_batches_tracked", DType::kI64, {},
                         std::as_bytes(std::span(&batches, 1))});
    }
  }
  void add_file(const fs::path& path, const std::string& prefix) {
    const SafetensorsFile& file =
        files.emplace_back(SafetensorsFile::open(path));
    for (TensorEntry t : file.tensors()) {
      t.name = prefix + t.name;
      entries.push_back(std::move(t));
    }
    metadata.insert(file.metadata().begin(), file.metadata().end());
  }
};

// Of the name: .bin is anybody's.
void check_name(const Options& o) {
  const auto require = [&](std::string_view what,
                           std::initializer_list<std::string_view> extensions) {
    data::require_extension("--out", o.out, what, extensions);
  };
  if (o.to == "safetensors") require("safetensors", {"safetensors"});
  else if (o.to == "npz") require("an .npz of NumPy", {"npz"});
  else if (o.to == "onnx") require("ONNX", {"onnx"});
  else if (o.to == "pth") require("a file of torch.save", {"pth", "pt", "ckpt", "tar"});
  else require("a file of detectron2", {"pth", "pkl"});
}

fs::path projector_of(const Options& o) {
  if (!o.source.is_run())
    throw error(ExitCode::kUsage,
                "[export] --part {} of the file {}: expected a run directory, "
                "which has the heads", o.part, o.source.encoder);
  return fs::path(o.source.encoder) / "projector.safetensors";
}

std::vector<NamedTensor> read_projector(const fs::path& path) {
  const auto file = SafetensorsFile::open(path);
  std::vector<NamedTensor> out;
  for (const TensorEntry& t : file.tensors())
    if (!t.name.ends_with("num_batches_tracked"))
      out.push_back({t.name, t.shape, float_values(t, path.string())});
  return out;
}

// As the run's configuration says.
std::vector<std::int64_t> segments_of(const Options& o, std::int64_t units) {
  const fs::path run = o.source.encoder;
  ConfigSources sources;
  sources.files = {(run / "config.toml").string()};
  const Config config = resolve(sources).value;
  if (config.method.name != Music::kName)
    throw error(ExitCode::kUsage, "[export] {} is a run of {}, expected one of {}: "
                "no other method has codes", run.string(), config.method.name,
                Music::kName);
  const Segments s = make_segments(config.method.of<Music>(), units);
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < s.count(); ++i) sizes.push_back(s.size(i));
  return sizes;
}

std::int64_t units_of(const std::vector<TensorEntry>& projector,
                      const std::string& prefix) {
  std::int64_t units = 0;
  for (const TensorEntry& t : projector)
    if (t.shape.size() == 2 && t.name.starts_with(prefix)) units = t.shape[0];
  return units;
}

Content content_of(const Options& o, const EncoderWeights& weights) {
  Content content;
  if (o.part == "encoder") {
    content.add_encoder(weights, "");
    if (!o.fc.empty()) {
      content.add_zeros("fc.weight", {1000, weights.info.encoder.features()});
      content.add_zeros("fc.bias", {1000});
    }
  } else if (o.part == "projector") {
    content.add_file(projector_of(o), "");
  } else if (o.part == "codes") {
    content.add_encoder(weights, "backbone.");
    content.add_file(projector_of(o), "projector.");
    content.metadata["segments"] = fmt::format(
        "{}", fmt::join(segments_of(o, units_of(content.entries, "projector.")),
                        ","));
  } else {
    std::set<fs::path> heads;
    for (const auto& entry : fs::directory_iterator(projector_of(o).parent_path()))
      if (entry.path().extension() == ".safetensors" &&
          entry.path().stem() != "encoder")
        heads.insert(entry.path());
    if (heads.empty())
      throw error(ExitCode::kData, "[export] {} holds no heads, expected "
                  "projector.safetensors or the like", o.source.encoder);
    for (const fs::path& head : heads)
      content.add_file(head, head.stem().string() + ".");
  }
  return content;
}

FileDigest write_detectron2(const Options& o, const EncoderWeights& weights,
                            const Content& content) {
  require_detectron2(weights.info.encoder);
  const fs::path yaml = fs::path(o.out).replace_extension(".yaml");
  std::vector<TensorEntry> named;
  for (TensorEntry t : content.entries) {
    t.name = detectron2_name(t.name);
    if (!t.name.empty()) named.push_back(std::move(t));
  }
  const FileDigest digest =
      fs::path(o.out).extension() == ".pkl"
          ? write_pkl(o.out, named, detectron2_layout())
          : write_pth(o.out, named, detectron2_layout());
  FileWriter file(yaml);
  file.write(detectron2_yaml(
      weights.info.encoder, weights.info.pixels,
      o.recipe == "plain_1x" ? DetectionRecipe::kPlain1x
                             : DetectionRecipe::kVissl1x, o.out, yaml));
  file.commit();
  fmt::print("{}: the recipe {}\n", yaml.string(), o.recipe);
  return digest;
}

FileDigest write(const Options& o, const EncoderWeights& weights) {
  if (o.to == "onnx") {
    OnnxSpec spec;
    spec.normalise = o.input == "rgb";
    if (o.part == "heads")
      throw error(ExitCode::kUsage, "[export] --to onnx --part heads: expected "
                  "encoder, projector or codes, which start from pixels");
    if (o.part != "encoder") spec.projector = read_projector(projector_of(o));
    std::int64_t units = 0;
    for (const NamedTensor& t : spec.projector)
      if (t.shape.size() == 2) units = t.shape[0];
    if (o.part == "codes") spec.segments = segments_of(o, units);
    return write_onnx(o.out, weights, spec);
  }
  const Content content = content_of(o, weights);
  if (o.to == "safetensors")
    return write_safetensors(o.out, content.entries, content.metadata);
  if (o.to == "npz") return write_npz(o.out, content.entries);
  if (o.to == "pth") return write_pth(o.out, content.entries);
  return write_detectron2(o, weights, content);
}

int export_main(int argc, char** argv) {
  CLI::App app("Writes an encoder, its heads or its codes for other programs.");
  Options o;
  add_options(app, o);
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");
  if (o.to == "detectron2" && o.part != "encoder")
    throw error(ExitCode::kUsage, "[export] --to detectron2 --part {}: expected "
                "encoder", o.part);
  if (!o.fc.empty() && (o.part != "encoder" || o.to == "onnx" ||
                        o.to == "detectron2"))
    throw error(ExitCode::kUsage, "[export] --fc goes with the encoder as "
                "safetensors, pth or npz");
  check_name(o);
  const EncoderWeights weights = open_source(o.source);
  const FileDigest digest = write(o, weights);
  fmt::print("{}: {} of {} as {}, {} bytes, encoder {}\n", o.out, o.part,
             weights.report.model, o.to, digest.bytes, weights.hash);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, export_main);
}
