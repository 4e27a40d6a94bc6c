#include "tools/atlas_writer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "engine/core/counted.h"
#include "engine/io/npy.h"
#include "music/codes/attribute_file.h"
#include "music/codes/code_index.h"
#include "music/codes/soft_codes.h"
#include "music/codes/soft_index.h"
#include "music/codes/unit_table.h"
#include "music/eval/row_neighbours.h"
#include "music/report/atlas_page.h"
#include "music/report/attribute_section.h"
#include "music/report/sprites.h"
#include "tools/feature_files.h"
#include "tools/progress.h"
#include "tools/stop_request.h"

namespace music {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFeatures = "features.tmp.npy";

void make(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw error(ExitCode::kUsage, "[atlas] {} cannot be made: {}", folder.string(),
                failure.message());
}

class Display {
 public:
  explicit Display(const std::string& style) : display_(progress_style(style), 0, 10) {}

  void start(const std::string& task, std::int64_t steps) {
    state_.task = task;
    state_.steps = steps;
    state_.step = 0;
  }
  void add(std::int64_t images) { at(state_.step + images); }
  void share(double done) {
    at(static_cast<std::int64_t>(done * static_cast<double>(state_.steps)));
  }

 private:
  void at(std::int64_t step) {
    state_.step = step;
    display_.update(state_);
    stop_if_asked("atlas");
  }
  Progress display_;
  ProgressState state_;
};

// What the encoder saw of a batch, as tiles: where those are larger than its crop,
// the same part of the image as it is stored.
void add_thumbnails(const FeatureRows& rows, const data::Dataset& dataset,
                    const data::EvalSpec& eval, Thumbnails& thumbnails) {
  const int tile = thumbnails.tile(), size = eval.size;
  std::vector<std::vector<std::uint8_t>> tiles(static_cast<std::size_t>(rows.n));
#pragma omp parallel
  {
    data::Resizer resizer;
    data::Image image;
#pragma omp for schedule(dynamic)
    for (std::int64_t i = 0; i < rows.n; ++i) {
      data::Box square{0, 0, size, size};
      image.borrow(rows.pixels + i * 3 * size * size, size, size);
      if (tile > size) {
        try {
          data::Image whole;
          dataset.read(rows.samples[static_cast<std::size_t>(i)], whole);
          const int side = std::min(whole.width(), whole.height()) * size / eval.resize;
          if (side > size) {
            square = {(whole.width() - side) / 2, (whole.height() - side) / 2, side, side};
            image = std::move(whole);
          }
        } catch (const Error&) {  // gone since: what was seen serves
        }
      }
      scale_to_tile(resizer, image, square, tile, tiles[static_cast<std::size_t>(i)]);
    }
  }
  for (const auto& t : tiles) thumbnails.add(t.data());
}

// What a pass over the embeddings leaves.
struct Tables {
  Tables(const Segments& segments, std::int64_t images)
      : codes(segments, images), soft(segments, images),
        units(segments, AtlasPage::kExemplars) {}

  CodeIndex codes;
  SoftIndex soft;
  UnitTable units;
  std::vector<std::uint8_t> confidences;  // [n, S]
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> samples;      // numbers in the data set
};

// Rows of a batch into the tables and the files that follow them.
class CodePass {
 public:
  CodePass(const fs::path& folder, const CodeRule& rule, Tables& tables)
      : rule_(rule), tables_(tables),
        confidences_(folder / "confidences.npy", NpyWriter::Type::kU8,
                     {rule.segments.count()}),
        soft_units_(folder / "soft_units.npy",
                    code_width(rule.segments) == CodeWidth::kU8 ? NpyWriter::Type::kU8
                                                                : NpyWriter::Type::kU16,
                    {rule.segments.count(), SoftIndex::kKept}),
        soft_weights_(folder / "soft_weights.npy", NpyWriter::Type::kU8,
                      {rule.segments.count(), SoftIndex::kKept}),
        code_(static_cast<std::size_t>(rule.segments.count())) {}

  void add(const FeatureRows& rows) {
    const Segments& segments = rule_.segments;
    q_.resize(static_cast<std::size_t>(rows.n * rows.width));
    soft_codes(rows.values, rows.n, segments, rule_.temperature, q_.data());
    std::vector<std::uint8_t> sure(code_.size());
    for (std::int64_t i = 0; i < rows.n; ++i) {
      const float* q = q_.data() + i * rows.width;
      segment_codes(rows.values + i * rows.width, segments, code_.data());
      for (std::size_t s = 0; s < code_.size(); ++s) {
        const float* of = q + segments.begin(static_cast<std::int64_t>(s));
        sure[s] = static_cast<std::uint8_t>(255 * of[code_[s]] + 0.5f);
      }
      tables_.codes.add(code_);
      tables_.units.add(q, code_.data());
      const SoftCode soft = SoftIndex::keep(q, segments);
      tables_.soft.add(soft);
      if (code_width(segments) == CodeWidth::kU8)
        soft_units_.write<std::uint8_t>(
            std::vector<std::uint8_t>(soft.units.begin(), soft.units.end()));
      else
        soft_units_.write<std::uint16_t>(soft.units);
      soft_weights_.write<std::uint8_t>(soft.weights);
      confidences_.write<std::uint8_t>(sure);
      tables_.confidences.insert(tables_.confidences.end(), sure.begin(), sure.end());
    }
    tables_.labels.insert(tables_.labels.end(), rows.labels.begin(), rows.labels.end());
    tables_.samples.insert(tables_.samples.end(), rows.samples.begin(),
                           rows.samples.end());
  }
  void commit() {
    confidences_.commit();
    soft_units_.commit();
    soft_weights_.commit();
  }

 private:
  const CodeRule& rule_;
  Tables& tables_;
  NpyWriter confidences_, soft_units_, soft_weights_;
  std::vector<std::uint16_t> code_;
  std::vector<float> q_;
};

// Images by unit, a segment at a time.
void write_postings(const fs::path& folder, const CodeIndex& codes) {
  const Segments& segments = codes.segments();
  const std::int64_t shape[] = {segments.count(), codes.size()};
  FileWriter images(folder / "postings.npy");
  images.write(npy_header(DType::kI32, shape));
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const SegmentPostings p = codes.postings(s);
    images.write(std::as_bytes(std::span(p.images)));
    for (std::size_t u = 1; u < p.begin.size(); ++u)
      offsets.push_back(s * codes.size() + p.begin[u]);
  }
  images.commit();
  write_npy<std::int64_t>(folder / "offsets.npy", {std::ssize(offsets)}, offsets);
}

void write_units(const fs::path& folder, const Segments& segments,
                 const UnitTable& units) {
  FileWriter file(folder / "units.json");
  file.write("[\n");
  for (std::int64_t s = 0; s < segments.count(); ++s)
    for (std::int64_t u = 0; u < segments.size(s); ++u) {
      const std::int64_t unit = segments.begin(s) + u;
      Json images = Json::array(), q = Json::array();
      for (const UnitExemplar& e : units.exemplars(unit)) {
        images.push_back(e.image);
        q.push_back(e.q);
      }
      file.write(Json{{"segment", s}, {"unit", u}, {"global", unit},
                      {"count", units.count(unit)},
                      {"mean_confidence", units.confidence(unit)},
                      {"exemplars", images}, {"q", q}}.dump() +
                 (unit + 1 == segments.units() ? "\n" : ",\n"));
    }
  file.write("]\n");
  file.commit();
}

// The sheet of each segment's exemplars.
void write_exemplars(const fs::path& folder, const Segments& segments,
                     const UnitTable& units, Thumbnails& thumbnails) {
  make(folder);
  std::vector<std::uint8_t> tile;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const ExemplarPlace size = exemplar_sheet(segments.size(s));
    SpriteSheet sheet(thumbnails.tile(), size.column, size.row);
    for (std::int64_t u = 0; u < segments.size(s); ++u) {
      const std::vector<UnitExemplar> found = units.exemplars(segments.begin(s) + u);
      for (std::size_t e = 0; e < found.size(); ++e) {
        const ExemplarPlace at = exemplar_place(u, static_cast<std::int64_t>(e));
        thumbnails.read(found[e].image, tile);
        sheet.put(at.column, at.row, tile.data());
      }
    }
    sheet.write(folder / fmt::format("{:05}.jpg", s));
  }
}

struct NeighbourTable {
  std::int64_t k = 0;
  std::vector<std::int32_t> images;  // [3, n, k]: codes, soft codes, features
  std::vector<float> scores;
};

NeighbourTable find_neighbours(const Tables& tables, std::int64_t k,
                               const fs::path& features, Display& display) {
  const std::int64_t n = tables.codes.size();
  NeighbourTable table{k, {}, {}};
  table.images.reserve(static_cast<std::size_t>(3 * n * k));
  table.scores.reserve(table.images.capacity());
  {
    std::vector<CodeMatch> found(static_cast<std::size_t>(n * k));
    display.start("neighbours by code", n);
    tables.codes.neighbours(k, found, [&](double d) { display.share(d); });
    for (const CodeMatch& m : found) {
      table.images.push_back(static_cast<std::int32_t>(m.image));
      table.scores.push_back(
          static_cast<float>(tables.codes.segments().count() - m.score));
    }
    display.start("neighbours by soft code", n);
    tables.soft.neighbours(k, found, [&](double d) { display.share(d); });
    for (const CodeMatch& m : found) {
      table.images.push_back(static_cast<std::int32_t>(m.image));
      table.scores.push_back(
          static_cast<float>(static_cast<double>(m.score) / SoftIndex::kScale));
    }
  }
  std::vector<Neighbour> found(static_cast<std::size_t>(n * k));
  display.start("neighbours by features", n);
  row_neighbours(NpyReader(features), k, found, [&](double d) { display.share(d); });
  for (const Neighbour& m : found) {
    table.images.push_back(static_cast<std::int32_t>(m.row));
    table.scores.push_back(static_cast<float>(m.similarity));
  }
  return table;
}

void write_features(const fs::path& file, const data::Dataset& dataset,
                    const OpenedEncoder& encoder, FeatureSpec spec,
                    Display& display) {
  display.start("features", dataset.size());
  const std::unique_ptr<Model> model = encoder.random_model(0);
  encoder.load_into(*model);
  spec.kind = FeatureKind::kPooled;
  NpyWriter writer(file, NpyWriter::Type::kF32, {feature_width(*model, spec.kind)});
  stream_features(*model, dataset, spec, [&](const FeatureRows& rows) {
    writer.write<float>({rows.values, static_cast<std::size_t>(rows.n * rows.width)});
    display.add(rows.n);
  });
  writer.commit();
}

// Names in text that an atlas may be called by.
std::string about(const Json& info, const Segments& segments, std::int64_t images) {
  return fmt::format("{} of {}, {} of {}, by {}", counted(images, "image"),
                     info["data"]["path"].get<std::string>(),
                     counted(segments.count(), "segment"),
                     segments.is_equal()
                         ? counted(segments.size(0), "unit")
                         : fmt::format("{} units in all", segments.units()),
                     info["encoder"]["path"].get<std::string>());
}

}  // namespace

Json write_atlas(const fs::path& folder, const AtlasSpec& spec,
                 const data::Dataset& dataset, const OpenedEncoder& encoder,
                 const OpenedHead& head, const CodeRule& rule,
                 const AtlasAttributes& attributes, Json info) {
  const auto start = std::chrono::steady_clock::now();
  const Segments& segments = rule.segments;
  Display display(spec.progress);
  Tables tables(segments, dataset.size());
  FeatureFiles files(folder, {.width = 0, .segments = segments, .pixels = 0});
  std::optional<Thumbnails> thumbnails;
  if (spec.thumbnail > 0) {
    make(folder / "sheets");
    thumbnails.emplace(folder / "sheets", spec.thumbnail);
  }
  FeatureSpec features = encoder.features;
  features.batch = spec.batch;
  features.kind = FeatureKind::kEmbedding;
  CodePass pass(folder, rule, tables);
  display.start("codes", dataset.size());
  const FeatureSummary summary =
      stream_features(*head.model, dataset, features, [&](const FeatureRows& rows) {
        files.add(rows, dataset);
        pass.add(rows);
        if (thumbnails) add_thumbnails(rows, dataset, features.eval, *thumbnails);
        display.add(rows.n);
      });
  for (const data::BadSample& bad : summary.bad) {
    if (spec.bad_images == "refuse")
      throw error(ExitCode::kData, "[atlas] {} cannot be read: {}", bad.name, bad.reason);
    files.leave_out(bad);
  }
  const std::int64_t n = tables.codes.size();
  const std::string bad = describe(LeftOut(summary.bad), dataset.size(), spec.split);
  if (n == 0) throw error(ExitCode::kData, "[atlas] no image is left: {}", bad);
  if (!bad.empty()) spdlog::warn("[atlas] {}", bad);
  pass.commit();
  write_postings(folder, tables.codes);
  write_units(folder, segments, tables.units);

  const std::int64_t k = std::min(spec.neighbours, n - 1);
  NeighbourTable near;
  if (k > 0) {
    write_features(folder / kFeatures, dataset, encoder, features, display);
    near = find_neighbours(tables, k, folder / kFeatures, display);
    fs::remove(folder / kFeatures);
    write_npy<std::int32_t>(folder / "neighbours.npy", {3, n, k}, near.images);
    write_npy<float>(folder / "neighbour_scores.npy", {3, n, k}, near.scores);
  }
  display.start("attributes", n);
  const std::optional<AttributeAnalysis> analysis = attributes.analyse(
      tables.codes, tables.samples, [&](double d) { display.share(d); });
  if (analysis) write_attributes(*analysis, folder / "attributes.json");
  std::vector<std::int64_t> sizes;
  for (std::int64_t s = 0; s < segments.count(); ++s) sizes.push_back(segments.size(s));
  info["images"] = n;
  info["left_out"] = std::ssize(summary.bad);
  info["segments"] = sizes;
  info["temperature"] = rule.temperature;
  info["soft_units"] = SoftIndex::kKept;
  info["neighbours"] = k;
  info["thumbnail"] = spec.thumbnail;
  info["classes"] = dataset.classes();
  if (thumbnails) {
    info["sheets"] = thumbnails->finish();
    write_exemplars(folder / "units", segments, tables.units, *thumbnails);
    AtlasPage page;
    page.title = "Atlas of " + fs::path(info["run"].get<std::string>()).filename().string();
    page.about = about(info, segments, n);
    page.tile = spec.thumbnail;
    page.classes = dataset.classes();
    page.name = [&](std::int64_t i) {
      return dataset.name(tables.samples[static_cast<std::size_t>(i)]);
    };
    page.labels = tables.labels;
    page.confidences = tables.confidences;
    page.colours = thumbnails->colours();
    page.k = k;
    page.neighbours = near.images;
    page.neighbour_scores = near.scores;
    if (analysis) {
      page.attributes = attribute_section(*analysis);
      page.attribute_styles = attribute_styles();
    }
    write_atlas_page(folder, page, tables.codes, tables.units);
  }
  info["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                                  start).count();
  files.commit(info.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  return info;
}

}  // namespace music
