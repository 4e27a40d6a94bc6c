#include "tools/code_source.h"

#include "engine/io/state_dict.h"
#include "music/model/head_file.h"

namespace music {
namespace fs = std::filesystem;

void HeadOptions::add_to(CLI::App& app) {
  app.add_option("--projector", projector,
                 "of embeddings and codes (default: the run's projector.safetensors)");
  app.add_option("--segments", segments,
                 "units of a segment, or of each (default: the run's)")
      ->delimiter(',')->check(CLI::Range(2, 65536));
}

OpenedHead open_head(const HeadOptions& o, const EncoderOptions& source,
                     const OpenedEncoder& encoder, const std::string& what) {
  if (o.projector.empty() && !source.is_run())
    throw error(ExitCode::kUsage, "[codes] {} of {}, which is no run: expected "
                "--projector", what, source.encoder);
  OpenedHead head;
  head.path = o.projector.empty()
                  ? fs::path(source.encoder) / "projector.safetensors"
                  : fs::path(o.projector);
  FileDigest digest;
  const SafetensorsFile file = SafetensorsFile::open(head.path, &digest);
  const HeadSpec spec = read_head_spec(file, head.path.string(),
                                       encoder.info.encoder.features());
  head.hash = digest.xxh3_128;
  head.units = spec.widths.back();
  head.model = encoder.random_model(0, spec);
  HostParameters parameters(head.model->parameters());
  import_state(*parameters, Model::kHead, file, head.path.string());
  parameters.write_back();
  encoder.load_into(*head.model);
  return head;
}

std::optional<Config> run_config(const EncoderOptions& source) {
  const fs::path file = fs::path(source.encoder) / "config.toml";
  if (!source.is_run() || !fs::exists(file)) return {};
  return resolve({{file.string()}, {}, {}}).value;
}

CodeRule code_rule(const HeadOptions& o, const EncoderOptions& source,
                   const std::optional<Config>& run, std::int64_t units) {
  const bool music = run && run->method.name == Music::kName;
  const double temperature =
      music ? run->method.of<Music>().entropy.temperature : 1;
  if (o.segments.size() == 1)
    return {Segments::equal(units, o.segments[0]), temperature};
  if (!o.segments.empty()) {
    Segments segments = Segments::uneven(o.segments);
    if (segments.units() != units)
      throw error(ExitCode::kUsage,
                  "[codes] --segments add up to {}, expected the projector's {} "
                  "units", segments.units(), units);
    return {std::move(segments), temperature};
  }
  if (!run)
    throw error(ExitCode::kUsage,
                "[codes] codes of {}, which is no run: expected --segments",
                source.encoder);
  if (!music)
    throw error(ExitCode::kUsage,
                "[codes] {} was trained by {}, whose embeddings have no segments: "
                "expected --segments", source.encoder, run->method.name);
  return {make_segments(run->method.of<Music>(), units), temperature};
}

}  // namespace music
