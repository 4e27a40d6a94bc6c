#include "music/report/atlas_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/io/file.h"
#include "music/report/html.h"

namespace music {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kUnitRows = 256;  // of a sheet of exemplars

template <typename T>
std::string base64_of(std::span<const T> values) {
  return base64({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}
template <typename T>
std::string base64_of(const std::vector<T>& values) {
  return base64_of(std::span<const T>(values));
}

// ASCII alone: what a script's bytes are read as depends on the page.
std::string ascii(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

void write_text(const fs::path& path, std::string_view text) {
  FileWriter file(path);
  file.write(text);
  file.commit();
}

std::string codes_of(const CodeIndex& codes) {
  std::vector<std::uint16_t> wide;
  std::vector<std::uint8_t> narrow;
  const bool fits = code_width(codes.segments()) == CodeWidth::kU8;
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    const std::vector<std::uint16_t> code = codes.code(i);
    if (fits) narrow.insert(narrow.end(), code.begin(), code.end());
    else wide.insert(wide.end(), code.begin(), code.end());
  }
  return fits ? base64_of(narrow) : base64_of(wide);
}

std::string core(const AtlasPage& page, const CodeIndex& codes,
                 const UnitTable& units) {
  const Segments& segments = codes.segments();
  std::vector<std::int64_t> sizes;
  for (std::int64_t s = 0; s < segments.count(); ++s) sizes.push_back(segments.size(s));
  std::vector<std::uint32_t> counts;
  std::vector<float> sure;
  std::vector<std::int32_t> best;
  for (std::int64_t u = 0; u < segments.units(); ++u) {
    counts.push_back(static_cast<std::uint32_t>(units.count(u)));
    sure.push_back(static_cast<float>(units.confidence(u)));
    const std::vector<UnitExemplar> found = units.exemplars(u);
    for (std::size_t e = 0; e < AtlasPage::kExemplars; ++e)
      best.push_back(e < found.size() ? static_cast<std::int32_t>(found[e].image) : -1);
  }
  const std::vector<std::int32_t> labels(page.labels.begin(), page.labels.end());
  const Json data = {{"images", codes.size()},
                {"segments", sizes},
                {"wide", code_width(segments) == CodeWidth::kU16},
                {"tile", page.tile},
                {"classes", page.classes},
                {"exemplars", AtlasPage::kExemplars},
                {"neighbours", page.k},
                {"chunk", AtlasPage::kChunk},
                {"counts", base64_of(counts)},
                {"unit_confidences", base64_of(sure)},
                {"unit_exemplars", base64_of(best)},
                {"labels", base64_of(labels)},
                {"colours", base64_of(page.colours)},
                {"confidences", base64_of(page.confidences)},
                {"codes", codes_of(codes)}};
  return fmt::format("window.atlas_core = {};\n", ascii(data));
}

void write_neighbours(const fs::path& folder, const AtlasPage& page, std::int64_t n) {
  const std::int64_t k = page.k;
  for (std::int64_t first = 0; k > 0 && first < n; first += AtlasPage::kChunk) {
    const std::int64_t rows = std::min(AtlasPage::kChunk, n - first);
    std::vector<std::int32_t> images;
    std::vector<float> scores;
    for (std::int64_t kind = 0; kind < 3; ++kind) {
      const auto at = static_cast<std::size_t>((kind * n + first) * k);
      const auto count = static_cast<std::size_t>(rows * k);
      const auto part = page.neighbours.subspan(at, count);
      images.insert(images.end(), part.begin(), part.end());
      const auto values = page.neighbour_scores.subspan(at, count);
      scores.insert(scores.end(), values.begin(), values.end());
    }
    write_text(folder / fmt::format("neighbours-{:05}.js", first / AtlasPage::kChunk),
               fmt::format("atlas_part({{images: \"{}\", scores: \"{}\"}});\n",
                           base64_of(images), base64_of(scores)));
  }
}

// The units as tables, for readers without scripts.
std::string tables(const AtlasPage& page, const Segments& segments,
                   const UnitTable& units) {
  std::string out;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const ExemplarPlace sheet = exemplar_sheet(segments.size(s));
    HtmlTable table({HtmlTable::text("unit"), HtmlTable::number("images"),
                     HtmlTable::number("mean q"), HtmlTable::text("surest images")});
    for (std::int64_t u = 0; u < segments.size(s); ++u) {
      const std::int64_t unit = segments.begin(s) + u;
      const ExemplarPlace at = exemplar_place(u, 0);
      const std::int64_t side = page.tile, wide = side * AtlasPage::kExemplars;
      table.row({HtmlTable::text(fmt::format("{}:{}", s, u)),
                 HtmlTable::number(fmt::format("{}", units.count(unit))),
                 HtmlTable::number(fmt::format("{:.2f}", units.confidence(unit))),
                 HtmlTable::markup(fmt::format(
                     "<svg class=\"exemplars\" width=\"{}\" height=\"48\" viewBox=\"{} {} {} "
                     "{}\"><image href=\"units/{:05}.jpg\" width=\"{}\" height=\"{}\"/>"
                     "</svg>",
                     48 * AtlasPage::kExemplars, at.column * side, at.row * side, wide,
                     side, s, sheet.column * side, sheet.row * side))});
    }
    out += table.html(fmt::format("Segment {}", s));
  }
  return out;
}

}  // namespace

ExemplarPlace exemplar_place(std::int64_t unit, std::int64_t e) {
  return {unit / kUnitRows * AtlasPage::kExemplars + e, unit % kUnitRows};
}

ExemplarPlace exemplar_sheet(std::int64_t units) {
  return {(units + kUnitRows - 1) / kUnitRows * AtlasPage::kExemplars,
          std::min(units, kUnitRows)};
}

void write_atlas_page(const fs::path& folder, const AtlasPage& page,
                      const CodeIndex& codes, const UnitTable& units) {
  fs::create_directories(folder / "page");
  write_text(folder / "page" / "core.js", core(page, codes, units));
  {
    FileWriter names(folder / "page" / "names.js");
    names.write("atlas_part([\n");
    for (std::int64_t i = 0; i < codes.size(); ++i)
      names.write(ascii(page.name(i)) + ",\n");
    names.write("]);\n");
    names.commit();
  }
  write_neighbours(folder / "page", page, codes.size());
  HtmlPage html;
  html.title = page.title;
  html.local_files = true;
  html.styles = {std::string(kAtlasStyle)};
  if (!page.attribute_styles.empty()) html.styles.push_back(page.attribute_styles);
  html.scripts = {std::string(kAtlasData) + std::string(kAtlasViews) +
                  std::string(kAtlasPage)};
  html.body = fmt::format(
      "<header><h1>{}</h1><p class=\"note\">{}</p></header>\n<div id=\"app\"></div>\n",
      html_escape(page.title), html_escape(page.about));
  html.body += page.attributes;
  html.body += fmt::format(
      "<noscript>{}</noscript>\n<script src=\"page/core.js\"></script>\n",
      tables(page, codes.segments(), units));
  write_text(folder / "index.html", to_html(html));
}

}  // namespace music
