#include "tools/code_pictures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/counted.h"
#include "music/codes/soft_codes.h"
#include "music/report/contact_sheet.h"
#include "music/report/heat_map.h"

namespace music {
namespace {

constexpr std::int64_t kStripUnits = 800;  // as in Fig. C.3-c
constexpr int kTile = 96, kGalleryColumns = 5;
constexpr std::int64_t kImagesPerCell = 5;  // below it a bias is left

// Pixels of an element, for about so many in all.
int cell(std::int64_t elements, std::int64_t pixels) {
  return static_cast<int>(std::max<std::int64_t>(1, pixels / elements));
}

std::vector<std::int64_t> begins(const Segments& segments, std::int64_t end) {
  std::vector<std::int64_t> borders;
  for (std::int64_t s = 1; s < segments.count() && segments.begin(s) < end; ++s)
    borders.push_back(segments.begin(s));
  return borders;
}

}  // namespace

CodePicture joint_picture(const ViewStatistics& statistics,
                          const std::string& views) {
  const std::vector<float> p = statistics.joint();
  const std::int64_t first = statistics.first();
  HeatMapSpec spec;
  spec.high = tenth_of_largest(p);
  spec.cell_width = spec.cell_height = cell(first, 800);
  return {heat_map(p, first, spec),
          fmt::format("Joint probabilities P of the first {} units, {} of {}: "
                      "dark blue 0, yellow {:.2g} (a tenth of the largest) and above",
                      first, views, counted(statistics.images(), "image"),
                      spec.high)};
}

CodePicture information_picture(const CodeStatistics& statistics) {
  const Segments& segments = statistics.segments();
  const std::vector<double> information = statistics.mutual_information();
  const std::vector<float> values(information.begin(), information.end());
  double sum = 0, largest = 0.01;
  std::int64_t pairs = 0, cells = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s)
    for (std::int64_t t = s + 1; t < segments.count(); ++t, ++pairs) {
      const double x =
          information[static_cast<std::size_t>(s * segments.count() + t)];
      sum += x;
      largest = std::max(largest, x);
      cells = std::max(cells, segments.size(s) * segments.size(t));
    }
  HeatMapSpec spec;
  spec.high = largest;
  spec.cell_width = spec.cell_height = std::min(32, cell(segments.count(), 512));
  std::string caption = fmt::format(
      "Mutual information of each two segments' codes over the smaller logarithm of "
      "their sizes, bias corrected, {}: dark blue 0, yellow {:.2g}, mean {:.2g}; the "
      "diagonal is left out", counted(statistics.images(), "image"), largest,
      pairs > 0 ? sum / static_cast<double>(pairs) : 0);
  if (statistics.images() < kImagesPerCell * cells)
    caption += fmt::format(". May be too high: {} cells a pair want at least {} images",
                           cells, kImagesPerCell * cells);
  return {heat_map(values, segments.count(), spec), caption};
}

CodePicture usage_picture(const CodeStatistics& statistics) {
  const Segments& segments = statistics.segments();
  const std::vector<float> mean = statistics.mean_q();
  std::int64_t most = 0, dead = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    most = std::max(most, segments.size(s));
    dead += statistics.dead_units(s);
  }
  // Units that a segment has not are NaN.
  std::vector<float> shares(static_cast<std::size_t>(segments.count() * most),
                            std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t s = 0; s < segments.count(); ++s)
    for (std::int64_t d = 0; d < segments.size(s); ++d)
      shares[static_cast<std::size_t>(s * most + d)] =
          mean[static_cast<std::size_t>(segments.begin(s) + d)] *
          static_cast<float>(segments.size(s));
  HeatMapSpec spec;
  spec.high = 2;
  for (const float share : shares)  // NaN is never larger
    spec.high = std::max(spec.high, static_cast<double>(share));
  spec.cell_width = std::min(24, cell(most, 640));
  spec.cell_height = std::min(spec.cell_width, cell(segments.count(), 640));
  return {heat_map(shares, most, spec),
          fmt::format("Mean q of each unit, a segment a row: dark blue 0, yellow {:.2g} "
                      "times its fair share 1/D_s; {} of {} dead (below a twentieth of "
                      "it)", spec.high, dead, counted(segments.units(), "unit"))};
}

CodePicture embedding_picture(const ShownViews& shown, const Segments& segments,
                              double temperature, const std::string& views) {
  const std::int64_t units = segments.units();
  const std::int64_t columns = std::min(units, kStripUnits);
  HeatMapSpec spec;
  spec.cell_width = cell(columns, 1600);
  spec.cell_height = (kTile - 1) / 2;
  spec.column_borders = begins(segments, columns);
  spec.row_borders = {1};
  const auto strip = static_cast<int>(columns * spec.cell_width) +
                     static_cast<int>(spec.column_borders.size());
  ContactSheet sheet(shown.n, {{kTile, kTile, strip}, kTile, 1});
  std::vector<float> q[2];
  for (int view = 0; view < 2; ++view) {
    q[view].resize(static_cast<std::size_t>(shown.n * units));
    soft_codes(shown.embeddings[view].data(), shown.n, segments, temperature,
               q[view].data());
  }
  for (std::int64_t i = 0; i < shown.n; ++i) {
    std::vector<float> rows;
    for (int view = 0; view < 2; ++view) {
      data::Image image;
      image.borrow(shown.pixels[view].data() + i * 3 * shown.size * shown.size,
                   shown.size, shown.size);
      sheet.put_whole(i, view, image);
      const auto from = q[view].begin() + i * units;
      rows.insert(rows.end(), from, from + columns);
    }
    sheet.put(i, 2, heat_map(rows, columns, spec));
  }
  CodePicture picture;
  picture.image = sheet.take();
  picture.caption = fmt::format(
      "Of {}: {} and the first {} units of their codes q, the upper strip of view 1, "
      "the lower of view 2: dark blue 0, yellow 1, a white line where a segment "
      "begins", counted(shown.n, "image"), views, columns);
  return picture;
}

data::Image gallery(const data::Dataset& dataset,
                    const std::vector<SurestImage>& images) {
  const int columns = std::min(kGalleryColumns, static_cast<int>(images.size()));
  ContactSheet sheet(std::ssize(images), {{kTile}, kTile, columns});
  data::Image image;
  for (std::size_t i = 0; i < images.size(); ++i) {
    dataset.read(images[i].sample, image);
    sheet.put_whole(static_cast<std::int64_t>(i), 0, image);
  }
  return sheet.take();
}

std::vector<std::int64_t> paper_units(const Segments& segments) {
  if (segments.count() < 2) return {};
  const std::vector<std::int64_t> units{6, 8, 24, 25, 88, 124, 134, 138};
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::int64_t s = i < 4 ? 0 : 1;
    if (units[i] < segments.begin(s) || units[i] >= segments.begin(s + 1)) return {};
  }
  return units;
}

std::vector<std::int64_t> surest_units(const CodeStatistics& statistics,
                                       const std::vector<std::int64_t>& units) {
  const Segments& segments = statistics.segments();
  std::vector<std::int64_t> chosen;
  for (std::int64_t s = 0; s < std::min<std::int64_t>(2, segments.count()); ++s) {
    std::vector<std::pair<double, std::int64_t>> ranked;  // surest first
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (units[i] < segments.begin(s) || units[i] >= segments.begin(s + 1)) continue;
      double sum = 0;
      for (const SurestImage& image : statistics.surest(i))
        sum += static_cast<double>(image.q);
      ranked.emplace_back(-sum, units[i]);
    }
    std::ranges::sort(ranked);
    if (ranked.size() > 4) ranked.resize(4);
    std::vector<std::int64_t> best;
    for (const auto& [sum, unit] : ranked) best.push_back(unit);
    std::ranges::sort(best);
    chosen.insert(chosen.end(), best.begin(), best.end());
  }
  return chosen;
}

}  // namespace music
