// music_figures: the paper's pictures of a run's codes (Fig. 2, C.3, C.4) over a
// whole split, and the numbers behind them.

#include <spdlog/spdlog.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "data/written_name.h"
#include "dist/launch.h"
#include "engine/core/log.h"
#include "music/eval/view_pairs.h"
#include "music/train/interrupt.h"
#include "tools/code_pictures.h"
#include "tools/code_source.h"
#include "tools/figure_files.h"
#include "tools/progress.h"
#include "tools/score_record.h"
#include "tools/stop_request.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

constexpr std::int64_t kShownImages = 4;  // of embeddings.png

struct Options {
  EncoderOptions encoder;
  HeadOptions head;
  std::string data, out, split = "train", views = "augmented", progress = "auto";
  std::vector<std::int64_t> units;
  std::int64_t per_unit = 10, first = 400, limit = 0;
  std::uint64_t seed = 0;
  int batch = 64;
  bool json = false;

  bool augmented() const { return views == "augmented"; }
  fs::path folder() const {
    return out.empty() ? fs::path(encoder.encoder) / "figures" : fs::path(out);
  }
};

void add_options(CLI::App& app, Options& o) {
  o.encoder.add_to(app);
  app.add_option("data", o.data, "images: a folder, a list, shards, CIFAR or STL-10")
      ->required();
  app.add_option("--split", o.split,
                 "train (default), test or pretrain (what music_train learns from)")
      ->check(CLI::IsMember({"train", "test", "pretrain"}));
  app.add_option("--views", o.views,
                 "of P and embeddings: augmented, as training makes them (default), or "
                 "same, the evaluators' one view twice")
      ->check(CLI::IsMember({"augmented", "same"}));
  o.head.add_to(app);
  app.add_option("--first", o.first, "units of P that are drawn")
      ->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--units", o.units,
                 "whose surest images are drawn, counted from 0 over all segments "
                 "(default: the paper's 6,8,24,25,88,124,134,138 where the first two "
                 "segments have them, else the four surest of each)")
      ->delimiter(',');
  app.add_option("--per-unit", o.per_unit, "images of each; 0: none are drawn")
      ->check(CLI::Range(0, 1000))->capture_default_str();
  app.add_option("--limit", o.limit, "so many images only, drawn by --seed; 0: all")
      ->check(CLI::Range(0.0, std::numeric_limits<double>::max()));
  app.add_option("--seed", o.seed, "of --limit");
  app.add_option("--batch", o.batch, "images that pass the network at once")
      ->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--out", o.out, "folder to write (default: RUN/figures)");
  app.add_option("--progress", o.progress, "auto, bar, plain or none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}));
  app.add_flag("--json", o.json, "print figures.json on one line");
}

// Units whose images are kept: those asked for, else all that could be chosen.
std::vector<std::int64_t> candidates(const Options& o, const Segments& segments) {
  if (o.per_unit == 0) return {};
  std::vector<std::int64_t> units;
  for (const std::int64_t unit : o.units)
    if (std::ranges::count(units, unit) == 0) units.push_back(unit);
  if (units.empty()) units = paper_units(segments);
  if (units.empty())
    for (std::int64_t d = 0; d < segments.begin(std::min<std::int64_t>(
                                     2, segments.count())); ++d)
      units.push_back(d);
  return units;
}

// The two passes over the images, and what they leave.
struct Counted {
  CodeStatistics codes;
  ViewStatistics views;
  ShownViews shown;
  std::vector<data::BadSample> left_out;  // of the evaluators' view
};

void show(const float* const z[2], const std::uint8_t* const pixels[2],
          std::int64_t n, std::int64_t units, int size, ShownViews& shown) {
  if (shown.n > 0) return;
  shown.n = std::min(n, kShownImages);
  shown.size = size;
  for (int view = 0; view < 2; ++view) {
    shown.pixels[view].assign(pixels[view],
                              pixels[view] + shown.n * 3 * size * size);
    shown.embeddings[view].assign(z[view], z[view] + shown.n * units);
  }
}

void count(const Options& o, const std::optional<Config>& run,
           const OpenedEncoder& encoder, Model& model,
           const data::Dataset& dataset, Counted& counted) {
  Progress display(progress_style(o.progress), 0, 10);
  ProgressState state;
  state.steps = dataset.size();
  state.task = "codes";
  FeatureSpec spec = encoder.features;
  spec.kind = FeatureKind::kEmbedding;
  spec.batch = o.batch;
  const FeatureSummary summary =
      stream_features(model, dataset, spec, [&](const FeatureRows& rows) {
        counted.codes.add(rows.values, rows.samples);
        if (!o.augmented()) {
          counted.views.add(rows.values, rows.values, rows.n);
          const float* const z[2] = {rows.values, rows.values};
          const std::uint8_t* const pixels[2] = {rows.pixels, rows.pixels};
          show(z, pixels, rows.n, rows.width, spec.eval.size, counted.shown);
        }
        state.step += rows.n;
        display.update(state);
        stop_if_asked("figures");
      });
  counted.left_out = summary.bad;
  if (counted.codes.images() == 0)
    throw error(ExitCode::kData, "[figures] no image is left: {}",
                describe(LeftOut(summary.bad), dataset.size(), o.split));
  if (!o.augmented()) return;
  ViewPairSpec pairs;
  pairs.augment = run->augment;
  pairs.pixels = encoder.info.pixels;
  pairs.seed = run->train.seed;
  pairs.batch = o.batch;
  pairs.workers = spec.workers;
  state.task = "two views";
  state.step = 0;
  stream_view_pairs(model, dataset, pairs, [&](const ViewPairRows& rows) {
    counted.views.add(rows.views[0], rows.views[1], rows.n);
    show(rows.views, rows.pixels, rows.n, rows.width, pairs.augment.size,
         counted.shown);
    state.step += rows.n;
    display.update(state);
    stop_if_asked("figures");
  });
}

Json numbers_of(const Counted& counted) {
  const Segments& segments = counted.codes.segments();
  Json sizes = Json::array(), usage = Json::array(), dead = Json::array(),
       information = Json::array();
  const std::vector<double> values = counted.codes.mutual_information();
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    sizes.push_back(segments.size(s));
    usage.push_back(counted.codes.usage(s));
    dead.push_back(counted.codes.dead_units(s));
    Json row = Json::array();
    for (std::int64_t t = 0; t < segments.count(); ++t) {
      const double x = values[static_cast<std::size_t>(s * segments.count() + t)];
      row.push_back(std::isfinite(x) ? Json(x) : Json());
    }
    information.push_back(std::move(row));
  }
  return {{"images", counted.codes.images()},
          {"segments", std::move(sizes)},
          {"usage", std::move(usage)},
          {"dead_units", std::move(dead)},
          {"agreement", counted.views.agreement()},
          {"same_codes", counted.views.same_codes()},
          {"mutual_information", std::move(information)}};
}

void draw(const Options& o, const Counted& counted, double temperature,
          FigureFiles& files, Json& info) {
  const Segments& segments = counted.codes.segments();
  const std::string views =
      o.augmented() ? "two augmented views" : "the evaluators' view twice";
  const auto add = [&](const std::string& name, CodePicture picture) {
    files.add(name + ".png", picture.image);
    info["files"][name] = name + ".png";
    info["captions"][name] = std::move(picture.caption);
  };
  add("p", joint_picture(counted.views, views));
  add("embeddings",
      embedding_picture(counted.shown, segments, temperature, views));
  if (segments.count() > 1)
    add("mutual_information", information_picture(counted.codes));
  add("usage", usage_picture(counted.codes));
}

void draw_galleries(const Options& o, const Counted& counted,
                    const data::Dataset& dataset,
                    const std::vector<std::int64_t>& kept, FigureFiles& files,
                    Json& info) {
  const Segments& segments = counted.codes.segments();
  const bool chosen = !o.units.empty() || !paper_units(segments).empty();
  info["galleries"] = Json::array();
  for (const std::int64_t unit :
       chosen ? kept : surest_units(counted.codes, kept)) {
    const auto at = std::ranges::find(kept, unit) - kept.begin();
    const std::vector<SurestImage> images =
        counted.codes.surest(static_cast<std::size_t>(at));
    std::int64_t segment = 0;
    while (unit >= segments.begin(segment + 1)) ++segment;
    const std::string name = FigureFiles::gallery_name(unit);
    files.add(name, gallery(dataset, images));
    stop_if_asked("figures");
    Json list = Json::array();
    for (const SurestImage& image : images)
      list.push_back({{"name", dataset.name(image.sample)}, {"q", image.q}});
    info["galleries"].push_back({{"segment", segment},
                                 {"unit", unit},
                                 {"share", counted.codes.share(unit)},
                                 {"file", name},
                                 {"images", std::move(list)}});
  }
}

void say(const Options& o, const Json& info) {
  const auto usage = info["usage"].get<std::vector<double>>();
  const auto dead = info["dead_units"].get<std::vector<std::int64_t>>();
  double sum = 0, least = 1;
  for (const double u : usage) sum += u, least = std::min(least, u);
  std::int64_t all_dead = 0;
  for (const std::int64_t d : dead) all_dead += d;
  fmt::print("{}: {} pictures of {} images\n", o.folder().string(),
             info["files"].size() + info["galleries"].size(),
             info["images"].get<std::int64_t>());
  fmt::print("usage {:.3f} (least {:.3f}), dead units {}, agreement {:.3f}, same codes "
             "{:.3f}\n", sum / static_cast<double>(usage.size()), least, all_dead,
             info["agreement"].get<double>(), info["same_codes"].get<double>());
  for (const auto& [key, caption] : info["captions"].items())
    fmt::print("{}: {}\n", key, caption.get<std::string>());
}

void write(const Options& o) {
  const auto start = std::chrono::steady_clock::now();
  const auto dataset = data::subset(
      data::open_dataset(o.data, data::DatasetFormat::kAuto,
                         o.split == "test"    ? data::Split::kTest
                         : o.split == "train" ? data::Split::kTrain
                                              : data::Split::kPretrain),
      o.limit, o.seed);
  if (o.out.empty() && !o.encoder.is_run() && fs::exists(o.encoder.encoder))
    throw error(ExitCode::kUsage, "[figures] {} is no run: expected --out",
                o.encoder.encoder);
  const OpenedEncoder encoder = open_encoder(o.encoder);
  const std::optional<Config> run = run_config(o.encoder);
  const OpenedHead head = open_head(o.head, o.encoder, encoder, "codes");
  const CodeRule rule = code_rule(o.head, o.encoder, run, head.units);
  if (o.augmented() && !run)
    throw error(ExitCode::kUsage,
                "[figures] training's augmentations of {}, which is no run: expected "
                "--views same", o.encoder.encoder);
  const std::vector<std::int64_t> units = candidates(o, rule.segments);
  Counted counted{
      CodeStatistics({rule.segments, rule.temperature, units, o.per_unit}),
      ViewStatistics(rule.segments, rule.temperature, o.first), {}, {}};
  const InterruptGuard interrupts;
  FigureFiles files(o.folder());
  count(o, run, encoder, *head.model, *dataset, counted);

  Json info = {{"version", 1},
               {"encoder", describe_encoder(encoder.weights)},
               {"projector", {{"path", head.path.string()}, {"hash", head.hash}}},
               {"data", describe_data(*dataset, o.data)},
               {"split", o.split},
               {"views", o.views}};
  info.update(numbers_of(counted));
  const LeftOut left_out(counted.left_out);
  info["left_out"] = left_out.count;
  const std::string bad = describe(left_out, dataset->size(), o.split);
  if (!bad.empty()) spdlog::warn("[figures] {}", bad);
  draw(o, counted, rule.temperature, files, info);
  draw_galleries(o, counted, *dataset, units, files, info);
  info["seconds"] = std::chrono::duration<double>(
                        std::chrono::steady_clock::now() - start).count();
  const auto text = [&](int indent) {
    return info.dump(indent, ' ', false, Json::error_handler_t::replace);
  };
  files.commit(text(1) + "\n");
  if (o.json)
    fmt::print("{}\n", text(-1));
  else
    say(o, info);
}

int figures_main(int argc, char** argv) {
  CLI::App app("Draws a run's codes over a data set: joint probabilities of two views, "
               "embeddings, redundancy and usage of segments, the images that a unit is "
               "surest of.");
  Options o;
  add_options(app, o);
  if (!parse(app, argc, argv)) return 0;
  if (data::is_called_a_file(o.out))
    throw error(ExitCode::kUsage, "[figures] --out {} is the name of a file, expected "
                "that of a folder for the pictures", o.out);
  if (const int size = dist::launch_from_environment().size; size > 1)
    throw error(ExitCode::kUsage, "[figures] {} processes, expected one", size);
  setup_logging("info");
  write(o);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, figures_main);
}
