#include "music/codes/attribute_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "music/codes/csv.h"
#include "music/codes/file_match.h"

namespace music {
namespace {

constexpr std::uint64_t kMostTableBytes = std::uint64_t{1} << 30;
constexpr std::size_t kCategories = 10;   // numbers taken as they are
constexpr int kBins = 5;
constexpr std::size_t kMostValues = 4096;
constexpr std::size_t kImagesPerValue = 5;

std::string in_lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_missing(std::string_view field) {
  const std::string text = in_lower_case(field);
  return text.empty() || text == "na" || text == "n/a" || text == "nan" ||
         text == "null";
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(value))
    return std::nullopt;
  return value;
}

// A column as it was read: each different field once.
struct TableColumn {
  std::string name;
  std::map<std::string, std::int32_t, std::less<>> numbers;
  std::vector<std::int32_t> rows;

  void add(const std::string& field) {
    if (is_missing(field)) return rows.push_back(-1);
    const auto next = static_cast<std::int32_t>(numbers.size());
    rows.push_back(numbers.try_emplace(field, next).first->second);
  }
};

// The column of file names.
std::size_t name_column(std::span<const std::string> header,
                        const std::string& name) {
  constexpr std::array<std::string_view, 13> known{
      "file", "filename", "file_name", "filepath", "file_path", "path", "image",
      "image_path", "image_name", "image_file", "image_id", "img", "name"};
  for (const std::string_view title : known)
    for (std::size_t c = 0; c < header.size(); ++c)
      if (in_lower_case(header[c]) == title) return c;
  std::string titles;
  for (const std::string& title : header.first(std::min<std::size_t>(header.size(), 5)))
    titles += (titles.empty() ? "" : ", ") + in_quotes(title);
  throw error(ExitCode::kData,
              "[attributes] {}: no column of file names among {} ({}{}), expected "
              "one called file, path, image or name",
              name, header.size(), titles, header.size() > 5 ? ", ..." : "");
}

// Values of an attribute, in the order they are shown.
void set_categories(const std::map<std::string, std::int64_t, std::less<>>& found,
                    bool numbers, Attribute& attribute) {
  for (const auto& [value, count] : found) attribute.values.push_back(value);
  if (numbers)
    std::ranges::stable_sort(attribute.values, {},
                             [](const std::string& v) { return *number(v); });
}

// Cuts numbers so that each bin has about as many images; equal ones stay together.
void set_bins(std::vector<double> known, Attribute& attribute,
              std::vector<double>& edges) {
  std::ranges::sort(known);
  for (int k = 1; k < kBins; ++k) {
    const double edge =
        known[(known.size() * static_cast<std::size_t>(k) + kBins - 1) / kBins - 1];
    if (edge < known.back() && (edges.empty() || edges.back() < edge))
      edges.push_back(edge);
  }
  attribute.bins = counted(std::ssize(edges) + 1, "quantile bin");
  for (std::size_t k = 0; k <= edges.size(); ++k)
    attribute.values.push_back(
        k == 0 ? fmt::format("up to {:.4g}", edges.empty() ? known.back() : edges[0])
        : k == edges.size() ? fmt::format("above {:.4g}", edges.back())
                            : fmt::format("{:.4g} to {:.4g}", edges[k - 1], edges[k]));
}

// The column as an attribute of the images, rows[i] the row of image i or -1; or a
// note why it is none.
void take(const TableColumn& column, std::span<const std::int64_t> rows,
          AttributeTable& out) {
  std::vector<const std::string*> texts(column.numbers.size());
  for (const auto& [text, place] : column.numbers)
    texts[static_cast<std::size_t>(place)] = &text;
  Attribute attribute{.name = column.name, .values = {}, .rows = {}, .bins = {}};
  std::map<std::string, std::int64_t, std::less<>> found;
  std::vector<std::int32_t> read;
  for (const std::int64_t row : rows) {
    read.push_back(row < 0 ? -1 : column.rows[static_cast<std::size_t>(row)]);
    if (read.back() >= 0) ++found[*texts[static_cast<std::size_t>(read.back())]];
  }
  const auto known = static_cast<std::size_t>(
      std::ranges::count_if(read, [](auto r) { return r >= 0; }));
  const auto leave_out = [&](const std::string& why) {
    out.notes.push_back(
        fmt::format("column {} left out: {}", in_quotes(column.name), why));
  };
  if (column.name.empty()) return leave_out("it has no name");
  if (found.empty()) return leave_out("it says nothing of these images");
  if (found.size() == 1)
    return leave_out("all images have the value " + in_quotes(found.begin()->first));

  const bool numbers = std::ranges::all_of(
      found, [](const auto& v) { return number(v.first).has_value(); });
  std::vector<std::int32_t> place(texts.size(), -1);
  if (numbers && found.size() > kCategories) {
    std::vector<double> all, edges;
    for (const std::int32_t r : read)
      if (r >= 0) all.push_back(*number(*texts[static_cast<std::size_t>(r)]));
    set_bins(std::move(all), attribute, edges);
    if (edges.empty()) return leave_out("nearly all images have one value");
    for (const auto& [text, count] : found)
      place[static_cast<std::size_t>(column.numbers.find(text)->second)] =
          static_cast<std::int32_t>(
              std::ranges::lower_bound(edges, *number(text)) - edges.begin());
  } else {
    const std::size_t most = std::min(kMostValues, known / kImagesPerValue);
    if (found.size() > std::max<std::size_t>(most, 2))
      return leave_out(fmt::format(
          "{} values of {} are too many for categories, expected {} at most",
          found.size(), counted(static_cast<std::int64_t>(known), "image"),
          std::max<std::size_t>(most, 2)));
    set_categories(found, numbers, attribute);
    for (std::size_t v = 0; v < attribute.values.size(); ++v)
      place[static_cast<std::size_t>(
          column.numbers.find(attribute.values[v])->second)] =
          static_cast<std::int32_t>(v);
  }
  for (const std::int32_t r : read)
    attribute.rows.push_back(r < 0 ? -1 : place[static_cast<std::size_t>(r)]);
  out.attributes.push_back(std::move(attribute));
}

}  // namespace

AttributeTable parse_attribute_table(std::string_view csv, const std::string& name,
                                     std::span<const std::string> files) {
  std::vector<TableColumn> columns;
  std::vector<std::string> names;
  std::size_t file = 0;
  bool header = true;
  read_csv(csv, name, [&](std::int64_t line, std::span<const std::string> fields) {
    if (header) {
      header = false;
      file = name_column(fields, name);
      for (const std::string& title : fields) {
        if (!title.empty() && std::ranges::count(columns, title, &TableColumn::name) > 0)
          throw error(ExitCode::kData, "[attributes] {}: two columns are called {}",
                      name, in_quotes(title));
        columns.push_back({.name = title, .numbers = {}, .rows = {}});
      }
      return;
    }
    if (fields[file].empty())
      throw error(ExitCode::kData, "[attributes] {}: line {} names no file", name,
                  line);
    names.push_back(fields[file]);
    for (std::size_t c = 0; c < columns.size(); ++c)
      if (c != file) columns[c].add(fields[c]);
  });
  AttributeTable out;
  const auto rows = match_files(names, files, name, out.notes);
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (c != file) take(columns[c], rows, out);
  return out;
}

AttributeTable read_attribute_table(const std::string& path,
                                    std::span<const std::string> files) {
  std::vector<std::uint8_t> bytes;
  read_file(path, kMostTableBytes, bytes);
  return parse_attribute_table(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, files);
}

AttributeTable class_attribute(std::span<const int> labels,
                               const std::vector<std::string>& classes) {
  AttributeTable out;
  // Only classes that occur: the others would be empty columns.
  std::vector<std::int32_t> place(classes.size(), -1);
  for (const int label : labels)
    if (label >= 0) place.at(static_cast<std::size_t>(label)) = 0;
  Attribute attribute{.name = "class", .values = {}, .rows = {}, .bins = {}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (place[c] < 0) continue;
    place[c] = static_cast<std::int32_t>(attribute.values.size());
    attribute.values.push_back(classes[c]);
  }
  if (attribute.values.size() < 2) {
    out.notes.push_back(attribute.values.empty()
                            ? "the images have no labels"
                            : "all images are of the class " +
                                  in_quotes(attribute.values[0]));
    return out;
  }
  for (const int label : labels)
    attribute.rows.push_back(label < 0 ? -1 : place[static_cast<std::size_t>(label)]);
  out.attributes.push_back(std::move(attribute));
  return out;
}

}  // namespace music
