#include "music/codes/file_match.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

using NameIndex = std::unordered_map<std::string_view, std::int64_t>;
constexpr std::int64_t kSeveral = -2;

std::string plain(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '\\', '/');
  while (out.starts_with("./")) out.erase(0, 2);
  return out;
}

std::vector<std::string> plain(std::span<const std::string> names) {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back(plain(name));
  return out;
}

// The end of a name without its first part; empty: there is none.
std::string_view shorter(std::string_view name) {
  const auto slash = name.find('/');
  return slash == name.npos ? std::string_view() : name.substr(slash + 1);
}

std::string_view file_name(std::string_view name) {
  return name.substr(name.rfind('/') + 1);
}

// The part before the last: "cat" of "train/cat/1.jpg".
std::string_view folder_name(std::string_view name) {
  const auto slash = name.rfind('/');
  return slash == name.npos ? std::string_view() : file_name(name.substr(0, slash));
}

// Place of the longest of these names that `name` ends in, or -1.
std::int64_t longest(const NameIndex& names, std::string_view name) {
  for (; !name.empty(); name = shorter(name))
    if (const auto at = names.find(name); at != names.end()) return at->second;
  return -1;
}

// The first names of which `chosen` holds.
template <typename Chosen>
std::string first_names(std::span<const std::string> names, const Chosen& chosen) {
  constexpr int kShown = 3;
  std::string out;
  int shown = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!chosen(i)) continue;
    if (++shown > kShown) return out + ", ...";
    out += (shown > 1 ? ", " : "") + in_quotes(names[i]);
  }
  return out;
}

NameIndex index_of(const std::vector<std::string>& names) {
  NameIndex out;
  for (std::size_t i = 0; i < names.size(); ++i)
    out.try_emplace(names[i], static_cast<std::int64_t>(i));
  return out;
}

NameIndex file_names(const std::vector<std::string>& names) {
  NameIndex out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto place = static_cast<std::int64_t>(i);
    const auto [at, first] = out.try_emplace(file_name(names[i]), place);
    if (!first && names[static_cast<std::size_t>(std::max<std::int64_t>(
                      at->second, 0))] != names[i])
      at->second = kSeveral;
  }
  return out;
}

// RowLinks made so far.
class RowLinks {
 public:
  RowLinks(std::vector<std::string> rows, std::vector<std::string> images,
        const std::string& table)
      : rows_(std::move(rows)), images_(std::move(images)), table_(table),
        row_of_(images_.size(), -1), image_of_(rows_.size(), -1) {}

  bool row_is_free(std::size_t r) const { return image_of_[r] < 0; }
  bool image_is_free(std::size_t i) const { return row_of_[i] < 0; }

  void join(std::int64_t r, std::int64_t i) {
    auto& image = image_of_[static_cast<std::size_t>(r)];
    auto& row = row_of_[static_cast<std::size_t>(i)];
    const auto name = [](const auto& names, std::int64_t at) {
      return in_quotes(names[static_cast<std::size_t>(at)]);
    };
    // An image that is listed twice has one row.
    if (image >= 0 && images_[static_cast<std::size_t>(image)] !=
                          images_[static_cast<std::size_t>(i)])
      throw error(ExitCode::kData,
                  "[attributes] {}: the row of {} could be of {} and of {}, expected "
                  "more of its path", table_, name(rows_, r), name(images_, image),
                  name(images_, i));
    if (row >= 0)
      throw error(ExitCode::kData,
                  "[attributes] {}: the rows of {} and {} could be of {}, expected "
                  "images whose names say more", table_, name(rows_, row),
                  name(rows_, r), name(images_, i));
    image = i, row = r;
  }
  std::vector<std::int64_t> take() { return std::move(row_of_); }

 private:
  std::vector<std::string> rows_, images_;
  const std::string& table_;
  std::vector<std::int64_t> row_of_, image_of_;
};

// Rows and images left that alone have a last part, by row. None at all where folders
// speak against it: rows of test/cat/1.jpg and images of train/dog/1.jpg.
std::vector<std::pair<std::int64_t, std::int64_t>> pairs_of_ends(
    const std::vector<std::string>& rows, const std::vector<std::string>& images,
    const RowLinks& links) {
  std::unordered_set<std::string_view> folders;
  for (const std::string& name : images) folders.insert(folder_name(name));
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  const NameIndex row_ends = file_names(rows), image_ends = file_names(images);
  for (const auto& [end, r] : row_ends) {
    const auto at = image_ends.find(end);
    if (r < 0 || at == image_ends.end() || at->second < 0) continue;
    const auto row = static_cast<std::size_t>(r), image = static_cast<std::size_t>(at->second);
    if (!links.row_is_free(row) || !links.image_is_free(image)) continue;
    const std::string_view folder = folder_name(rows[row]);
    if (folder != folder_name(images[image]) && folders.contains(folder)) return {};
    pairs.emplace_back(r, at->second);
  }
  std::ranges::sort(pairs);
  return pairs;
}

}  // namespace

std::vector<std::int64_t> match_files(std::span<const std::string> rows,
                                      std::span<const std::string> images,
                                      const std::string& table,
                                      std::vector<std::string>& notes) {
  const auto row_names = plain(rows), image_names = plain(images);
  const NameIndex by_row = index_of(row_names), by_image = index_of(image_names);
  if (by_row.size() < row_names.size()) {
    std::size_t r = 0;
    while (by_row.at(row_names[r]) == static_cast<std::int64_t>(r)) ++r;
    throw error(ExitCode::kData, "[attributes] {}: {} has two rows ({} and {})",
                table, in_quotes(rows[r]), by_row.at(row_names[r]) + 1, r + 1);
  }
  RowLinks links(row_names, image_names, table);
  for (std::size_t i = 0; i < image_names.size(); ++i)
    if (const std::int64_t r = longest(by_row, image_names[i]); r >= 0)
      links.join(r, static_cast<std::int64_t>(i));
  // What the image's name is the end of.
  std::vector<bool> exact;
  for (std::size_t i = 0; i < image_names.size(); ++i)
    exact.push_back(!links.image_is_free(i));
  for (std::size_t r = 0; r < row_names.size(); ++r) {
    if (!links.row_is_free(r)) continue;
    const std::int64_t i = longest(by_image, shorter(row_names[r]));
    if (i >= 0 && !exact[static_cast<std::size_t>(i)])
      links.join(static_cast<std::int64_t>(r), i);
  }
  const auto pairs = pairs_of_ends(row_names, image_names, links);
  for (const auto& [r, i] : pairs) links.join(r, i);
  if (!pairs.empty())
    notes.push_back(fmt::format(
        "{} of {} matched by the last part of the name alone, as {} with {}",
        pairs.size(), counted(std::ssize(rows), "row"),
        in_quotes(rows[static_cast<std::size_t>(pairs[0].first)]),
        in_quotes(images[static_cast<std::size_t>(pairs[0].second)])));

  if (rows.empty())
    throw error(ExitCode::kData, "[attributes] {} has a header and no rows", table);
  std::int64_t without_image = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) without_image += links.row_is_free(r);
  if (without_image == std::ssize(rows))
    throw error(ExitCode::kData,
                "[attributes] {}: none of {} is of one of these {}: {} and {}", table,
                counted(std::ssize(rows), "row"), counted(std::ssize(images), "image"),
                first_names(rows, [](std::size_t) { return true; }),
                first_names(images, [](std::size_t) { return true; }));
  if (without_image > 0)
    notes.push_back(fmt::format(
        "{} of {} in {} without an image: {}", without_image,
        counted(std::ssize(rows), "row"), table,
        first_names(rows, [&](std::size_t r) { return links.row_is_free(r); })));
  std::int64_t without_row = 0;
  for (std::size_t i = 0; i < images.size(); ++i) without_row += links.image_is_free(i);
  if (without_row > 0)
    notes.push_back(fmt::format(
        "{} of {} without a row in {}: {}", without_row,
        counted(std::ssize(images), "image"), table,
        first_names(images, [&](std::size_t i) { return links.image_is_free(i); })));
  return links.take();
}

}  // namespace music
