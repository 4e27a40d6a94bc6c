#include "data/folder_names.h"

#include <algorithm>
#include <array>

#include "data/picture_format.h"

namespace music::data {
namespace {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

template <std::size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

}  // namespace

std::string extension_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == name.npos || dot == 0 ? "" : lower_case(name.substr(dot + 1));
}

NameKind kind_of_extension(std::string_view extension) {
  constexpr std::array<std::string_view, 11> kUnfinished{
      "part", "partial", "crdownload", "download", "tmp", "temp",
      "bak", "orig", "old", "swp", "lock"};
  constexpr std::array<std::string_view, 15> kArchives{
      "zip", "tar", "tgz", "gz", "tbz", "tbz2", "bz2", "txz", "xz", "zst", "7z",
      "rar", "parquet", "tfrecord", "tfrecords"};
  const PictureFormat format = format_of_extension(extension);
  if (is_read(format)) return NameKind::kImage;
  if (format != PictureFormat::kUnknown) return NameKind::kPeek;
  if (std::all_of(extension.begin(), extension.end(),
                  [](char c) { return c >= '0' && c <= '9'; }))
    return NameKind::kPeek;  // none, or "frame.0001"
  if (is_one_of(extension, kUnfinished) || extension.ends_with('~'))
    return NameKind::kUnfinished;
  return is_one_of(extension, kArchives) ? NameKind::kArchive : NameKind::kOther;
}

bool is_system_folder(std::string_view name) {
  constexpr std::array<std::string_view, 10> kNames{
      "__macosx", "@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin",
      "recycler", "lost+found", "system volume information", "__pycache__"};
  return name.front() == '.' || is_one_of(lower_case(name), kNames);
}

std::string_view split_of(const std::string& folder) {
  constexpr std::array<std::array<std::string_view, 2>, 8> kSplits{{
      {"train", "train"}, {"training", "train"}, {"val", "val"}, {"valid", "val"},
      {"validation", "val"}, {"test", "test"}, {"testing", "test"}, {"eval", "test"}}};
  std::string name = lower_case(folder);
  name.erase(std::find_if(name.rbegin(), name.rend(), [](char c) {
               return (c < '0' || c > '9') && c != '_' && c != '-';
             }).base(), name.end());
  for (const auto& [spelling, split] : kSplits)
    if (name == spelling) return split;
  return {};
}

bool is_record_file(std::string_view name) {
  return name.starts_with("data_batch_") || name == "test_batch.bin" ||
         name == "train.bin" || name == "test.bin" || name.ends_with("_X.bin");
}

}  // namespace music::data
