#include "data/shard_paths.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "data/folder_names.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostShards = 1'000'000;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool ends_with(std::string_view name, std::string_view end) {
  return name.size() > end.size() &&
         std::equal(end.begin(), end.end(), name.end() - std::ssize(end),
                    [](char a, char b) {
                      return a == b || (b >= 'A' && b <= 'Z' && a - b == 'a' - 'A');
                    });
}

// The numbers from..to, as wide as the first is written.
void add_range(const std::string& path, std::string_view from, std::string_view to,
               std::vector<std::string>& words) {
  const auto number = [&](std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, failure] =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size())
      throw error(ExitCode::kData,
                  "[dataset] {}: expected numbers in braces, as {{000..146}}",
                  path);
    return value;
  };
  const std::uint32_t first = number(from), last = number(to);
  if (last < first || last - first >= kMostShards)
    throw error(ExitCode::kData, "[dataset] {}: no range of shards", path);
  for (std::uint32_t i = first; i <= last; ++i)
    words.push_back(fmt::format("{:0{}}", i, from.size()));
}

std::vector<std::string> expand(const std::string& path) {
  const std::size_t open = path.find('{'), close = path.find('}', open);
  if (close == path.npos) return {path};
  const std::string_view inside(path.data() + open + 1, close - open - 1);
  std::vector<std::string> words;
  if (const std::size_t dots = inside.find(".."); dots != inside.npos) {
    add_range(path, inside.substr(0, dots), inside.substr(dots + 2), words);
  } else {
    for (std::size_t begin = 0, end; begin <= inside.size(); begin = end + 1) {
      end = std::min(inside.find(',', begin), inside.size());
      words.emplace_back(inside.substr(begin, end - begin));
    }
    if (words.size() == 1)
      throw error(ExitCode::kData,
                  "[dataset] {}: expected numbers in braces, as {{000..146}}",
                  path);
  }
  const std::vector<std::string> rests = expand(path.substr(close + 1));
  std::vector<std::string> paths;
  for (const std::string& word : words)
    for (const std::string& rest : rests) {
      if (paths.size() == kMostShards)
        throw error(ExitCode::kData, "[dataset] {}: more than {} shards", path,
                    kMostShards);
      paths.push_back(path.substr(0, open) + word + rest);
    }
  return paths;
}

// The files that stars fit, sorted.
void add_matches(const std::string& pattern, std::vector<std::string>& paths) {
  glob_t found{};
  const int failure = glob(pattern.c_str(), 0, nullptr, &found);
  paths.insert(paths.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (failure != 0)
    throw error(ExitCode::kData, "[dataset] {}: no file has such a name", pattern);
}

// Shards of one set have names that differ in their numbers alone: with
// train-*.tar and val-*.tar in one folder, both would be learnt from.
std::string skeleton(const std::string& path) {
  std::string out;
  for (const char c : fs::path(path).stem().string()) {
    const char mark = c >= '0' && c <= '9' ? '#' : c;
    if (mark != '#' || !out.ends_with('#')) out += mark;
  }
  return out;
}

}  // namespace

ShardPath split_shard_path(const std::string& path) {
  const std::size_t mark = path.rfind('#');
  if (mark == path.npos || mark == 0 || exists(path)) return {path, ""};
  return {path.substr(0, mark), path.substr(mark + 1)};
}

bool is_shard_pattern(const std::string& path) {
  return path.find('{') != path.npos ||
         (path.find('*') != path.npos && is_shard_name(path));
}

std::vector<std::string> expand_pattern(const std::string& path) {
  if (exists(path)) return {path};
  std::vector<std::string> paths;
  for (std::string& expanded : expand(path))
    if (expanded.find('*') == expanded.npos || exists(expanded))
      paths.push_back(std::move(expanded));
    else
      add_matches(expanded, paths);
  return paths;
}

ShardListing shards_in(const fs::path& folder) {
  ShardListing listing;
  std::vector<std::string> compressed, unfinished, pictures;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.front() == '.' || entry.is_directory()) continue;
    if (is_shard_name(name)) listing.shards.push_back(entry.path().string());
    if (is_compressed_name(name)) compressed.push_back(name);
    if (kind_of_extension(extension_of(name)) == NameKind::kUnfinished &&
        (name.find(".tar.") != name.npos || name.find(".tgz.") != name.npos))
      unfinished.push_back(name);
    if (kind_of_extension(extension_of(name)) == NameKind::kImage) pictures.push_back(name);
  }
  std::ranges::sort(listing.shards);
  std::ranges::sort(compressed);
  std::ranges::sort(unfinished);
  std::ranges::sort(pictures);
  for (const std::string& name : compressed) listing.compressed.add(one_line(name));
  for (const std::string& name : unfinished) listing.unfinished.add(one_line(name));
  for (const std::string& name : pictures) listing.pictures.add(one_line(name));
  for (const std::string& shard : listing.shards)
    if (skeleton(shard) != skeleton(listing.shards.front()))
      throw error(ExitCode::kData,
                  "[dataset] {} has shards of several sets ({}, {}): expected "
                  "one, or a pattern as train-{{000..146}}.tar; '*.tar' takes all",
                  folder.string(),
                  fs::path(listing.shards.front()).filename().string(),
                  fs::path(shard).filename().string());
  return listing;
}

bool is_shard_name(std::string_view name) { return ends_with(name, ".tar"); }

bool is_compressed_name(std::string_view name) {
  constexpr std::array<std::string_view, 12> kEnds{
      ".tar.gz",  ".tgz",     ".tar.zst", ".tzst", ".tar.xz",  ".txz",
      ".tar.bz2", ".tbz2",    ".tbz",     ".tlz4", ".tar.lz4", ".tar.z"};
  return std::ranges::any_of(kEnds,
                             [&](auto end) { return ends_with(name, end); });
}

}  // namespace music::data
