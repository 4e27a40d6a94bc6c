// music_features: frozen features, embeddings or segment codes of a data set as
// NumPy files.

#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>

#include "data/written_name.h"
#include "dist/launch.h"
#include "dist/stacks.h"
#include "engine/core/counted.h"
#include "engine/core/log.h"
#include "tools/code_source.h"
#include "tools/feature_files.h"
#include "tools/progress.h"
#include "tools/score_record.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  EncoderOptions encoder;
  std::string data, out, split = "train", kind = "pooled", view = "crop";
  std::string progress = "auto", bad_images = "skip";
  HeadOptions head;
  std::int64_t limit = 0;
  int batch = 64;
  std::uint64_t seed = 0;
  bool pixels = false, json = false;

  bool needs_head() const { return kind == "embedding" || kind == "codes"; }
};

void add_options(CLI::App& app, Options& o) {
  o.encoder.add_to(app);
  app.add_option("--data", o.data, "images: a folder, a list, shards, CIFAR or STL-10")
      ->required();
  app.add_option("--split", o.split,
                 "train, test or pretrain (what music_train learns from, whose labels "
                 "may be wrong or missing)")
      ->check(CLI::IsMember({"train", "test", "pretrain"}));
  app.add_option("--kind", o.kind,
                 "pooled: the encoder's output (default); res5: its last map as "
                 "2 x 2 means, 4 times as wide; embedding: the projector's output; "
                 "codes: the largest unit of each of its segments")
      ->check(CLI::IsMember({"pooled", "res5", "embedding", "codes"}));
  o.head.add_to(app);
  app.add_option("--view", o.view,
                 "crop: the image's centre (default); squash: all of it, its aspect "
                 "lost")->check(CLI::IsMember({"crop", "squash"}));
  app.add_option("--limit", o.limit, "so many images only, drawn by --seed");
  app.add_option("--seed", o.seed, "of --limit");
  app.add_option("--batch", o.batch, "images that pass the network at once")
      ->check(CLI::Range(1, 65536));
  app.add_option("--bad-images", o.bad_images,
                 "skip: left out of all files and listed (default); refuse")
      ->check(CLI::IsMember({"skip", "refuse"}));
  app.add_option("--out", o.out, "folder for features.npy [n,d] f32 (or codes.npy and "
                 "codes_packed.npy), labels.npy [n] i64 (-1: none), files.txt, "
                 "info.json")->required();
  app.add_flag("--pixels", o.pixels,
               "also images.npy u8 [n,size,size,3], as the encoder saw them");
  app.add_option("--progress", o.progress, "auto, bar, plain or none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}));
  app.add_flag("--json", o.json, "print one JSON object");
}

struct Opened {
  OpenedEncoder encoder;
  std::unique_ptr<Model> model;
  FeatureFilesSpec files;
  Json info;
};

Opened open(const Options& o, dist::Communicator& world) {
  Opened opened{open_encoder(o.encoder, &world), nullptr, {}, {}};
  const OpenedEncoder& encoder = opened.encoder;
  FeatureSpec& spec = opened.encoder.features;
  spec.kind = o.kind == "pooled" ? FeatureKind::kPooled
              : o.kind == "res5" ? FeatureKind::kRes5
                                 : FeatureKind::kEmbedding;
  spec.eval.squash = o.view == "squash";
  spec.batch = o.batch;
  spec.rank = world.rank();
  spec.world = world.size();
  Json& info = opened.info;
  info = {{"kind", o.kind},
          {"encoder", describe_encoder(encoder.weights)},
          {"resize", spec.eval.resize}, {o.view, spec.eval.size},
          {"interpolation", "bilinear"}, {"pillow", spec.eval.pillow},
          {"compute", describe(encoder.compute)}};
  if (o.needs_head()) {
    OpenedHead head = open_head(o.head, o.encoder, encoder,
                                o.kind == "codes" ? "codes" : "embeddings");
    opened.model = std::move(head.model);
    info["projector"] = {{"path", head.path.string()}, {"hash", head.hash}};
  } else {
    if (!o.head.projector.empty() || !o.head.segments.empty())
      throw error(ExitCode::kUsage,
                  "[features] --projector and --segments with --kind {}, expected "
                  "embedding or codes", o.kind);
    opened.model = encoder.random_model(0);
    encoder.load_into(*opened.model);
  }
  opened.files.width = feature_width(*opened.model, spec.kind);
  if (o.pixels) opened.files.pixels = spec.eval.size;
  if (o.kind == "codes") {
    const auto run =
        o.head.segments.empty() ? run_config(o.encoder) : std::nullopt;
    const Segments segments =
        code_rule(o.head, o.encoder, run, opened.files.width).segments;
    std::vector<std::int64_t> sizes;
    for (std::int64_t s = 0; s < segments.count(); ++s)
      sizes.push_back(segments.size(s));
    info["segments"] = sizes;
    info["packed"] = "ceil(log2(size)) bits a segment, most significant first "
                     "(numpy.unpackbits)";
    opened.files.segments = segments;
  } else {
    info["width"] = opened.files.width;
  }
  return opened;
}

void write(const Options& o, dist::Communicator& world) {
  const auto start = std::chrono::steady_clock::now();
  const auto dataset = data::subset(
      data::open_dataset(o.data, data::DatasetFormat::kAuto,
                         o.split == "test"    ? data::Split::kTest
                         : o.split == "train" ? data::Split::kTrain
                                              : data::Split::kPretrain),
      o.limit, o.seed);
  Opened opened = open(o, world);
  // Each process writes its rows; the first adds those of the others, in order.
  const auto part = [&](int rank) {
    return rank == 0 ? fs::path(o.out)
                     : fs::path(o.out) / fmt::format(".part-{}", rank);
  };
  FeatureFiles files(part(world.rank()), opened.files);
  Progress display(progress_style(o.progress), world.rank(), 10);
  ProgressState state;
  state.task = "features";
  state.steps = (dataset->size() + world.size() - 1) / world.size();
  const FeatureSummary summary = stream_features(
      *opened.model, *dataset, opened.encoder.features,
      [&](const FeatureRows& rows) {
        files.add(rows, *dataset);
        state.step += rows.n;
        display.update(state);
      });
  for (const data::BadSample& bad : summary.bad) {
    if (o.bad_images == "refuse")
      throw error(ExitCode::kData, "[features] {} cannot be read: {}", bad.name,
                  bad.reason);
    files.leave_out(bad);
  }
  const LeftOut left_out = gather(LeftOut(summary.bad), world);
  const std::string bad = describe(left_out, dataset->size(), o.split);
  if (!bad.empty()) spdlog::warn("[features] {}", bad);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()));
  if (world.rank() > 0) files.commit("{}\n");
  world.exchange(std::span(&summary.count, 1), counts);  // the others have committed
  if (world.rank() > 0) return;
  std::int64_t rows = 0;
  for (int r = 0; r < world.size(); ++r) {
    rows += counts[static_cast<std::size_t>(r)];
    if (r > 0) files.append(part(r));
  }
  data::check_bad(left_out.count, dataset->size(), data::EvalLoaderSpec{}.bad_share);
  if (rows == 0)
    throw error(ExitCode::kData, "[features] no image is left: {}", bad);
  Json& info = opened.info;
  info["data"] = describe_data(*dataset, o.data);
  info["images"] = rows;
  info["left_out"] = left_out.count;
  info["processes"] = world.size();
  info["seconds"] = std::chrono::duration<double>(
                        std::chrono::steady_clock::now() - start).count();
  const auto text = [&](int indent) {
    return info.dump(indent, ' ', false, Json::error_handler_t::replace);
  };
  const std::int64_t written = files.commit(text(2) + "\n");
  MUSIC_CHECK(written == rows, "[features] {} rows of {}", written, rows);
  if (o.json) {
    info["out"] = o.out;
    fmt::print("{}\n", text(-1));
  } else {
    fmt::print("{}: {} of {} images, {}\n", o.out,
               o.kind == "codes" ? "codes" : "features", rows,
               opened.files.segments
                   ? fmt::format("{} segments", opened.files.segments->count())
                   : fmt::format("{} wide", opened.files.width));
    if (left_out.count > 0)
      fmt::print("{} cannot be read: left_out.txt\n",
                 counted(left_out.count, "image"));
  }
}

int features_main(int argc, char** argv) {
  CLI::App app("Writes frozen features, labels and names of a data set.");
  Options o;
  add_options(app, o);
  if (!parse(app, argc, argv)) return 0;
  if (data::is_called_a_file(o.out))
    throw error(ExitCode::kUsage, "[features] --out {} is the name of a file, expected "
                "that of a folder for the files", o.out);
  const auto communicator = dist::join();
  dist::report_crashes(communicator->rank());
  setup_logging("info", communicator->rank(), communicator->size());
  if (communicator->size() == 1) {
    write(o, *communicator);
    return 0;
  }
  try {
    write(o, *communicator);
    return 0;
  } catch (const Error& e) {
    complain(argv, e.what());
    communicator->abort(e.code());  // the others must not wait for this one
    return static_cast<int>(e.code());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, features_main);
}
