#include "music/eval/overlap.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using data::Dataset;

// Names of images, the same for a file however it was reached: by other paths,
// by links to it or to a folder above it.
class RealNames {
 public:
  std::string of(const std::string& name) {
    const std::size_t slash = name.rfind('/');
    if (slash == name.npos) return name;  // part of a file of many images
    const std::string leaf = name.substr(slash + 1);
    const Folder& folder = look_into(name.substr(0, slash + 1));
    std::size_t end = leaf.npos;  // of the file; what follows is in it
    for (const char* kind : {".tar:", ".npy:"})
      end = std::min(end, leaf.find(kind));
    const std::string file = leaf.substr(0, end == leaf.npos ? end : end + 4);
    const std::string path = folder.path + "/" + file;
    std::error_code broken;
    fs::path real;
    if (folder.links.count(file)) real = fs::canonical(path, broken);
    return (real.empty() || broken ? path : real.string()) +
           leaf.substr(file.size());
  }

 private:
  struct Folder {
    std::string path;
    std::set<std::string, std::less<>> links;  // files in it that are links
  };

  const Folder& look_into(const std::string& path) {
    const auto [at, is_new] = folders_.try_emplace(path);
    if (!is_new) return at->second;
    std::error_code failure;
    at->second.path = fs::weakly_canonical(path, failure).string();
    // A listing tells links from files without asking for each.
    for (fs::directory_iterator it(path, failure), end; !failure && it != end;
         it.increment(failure)) {
      std::error_code gone;
      if (it->is_symlink(gone))
        at->second.links.insert(it->path().filename().string());
    }
    return at->second;
  }

  std::map<std::string, Folder> folders_;
};

// The images of a data set by real name.
class NameIndex {
 public:
  NameIndex(const Dataset& images, RealNames& names) : images_(images), names_(names) {
    for (std::int64_t i = 0; i < images.size(); ++i)
      hashes_.emplace_back(std::hash<std::string>()(name(i)), i);
    std::ranges::sort(hashes_);
  }

  // The first image of that name, or -1.
  std::int64_t find(const std::string& real) const {
    const std::size_t hash = std::hash<std::string>()(real);
    for (auto it = std::ranges::lower_bound(hashes_, std::pair(hash, std::int64_t{0}));
         it != hashes_.end() && it->first == hash; ++it)
      if (name(it->second) == real) return it->second;
    return -1;
  }
  Repeats repeats() const {
    Repeats r;
    for (std::size_t i = 1; i < hashes_.size(); ++i) {
      const auto [hash, at] = hashes_[i];
      if (hash != hashes_[i - 1].first) continue;
      const std::int64_t before = find(name(at));
      if (before == at) continue;
      r.otherwise += images_.label(before) != images_.label(at);
      if (r.again++ == 0) r.first = images_.name(at);
    }
    return r;
  }
  std::string name(std::int64_t i) const { return names_.of(images_.name(i)); }

 private:
  const Dataset& images_;
  RealNames& names_;
  std::vector<std::pair<std::size_t, std::int64_t>> hashes_;
};

constexpr int kDecoded = 100;  // copies, at most

using Numbers = std::vector<std::int64_t>;

// A hash of the image's file or pixels; "" for one without any, or that cannot be
// read.
std::string contents(const Dataset& d, std::int64_t i) {
  thread_local std::vector<std::uint8_t> bytes;
  thread_local data::Image image;
  std::span<const std::uint8_t> all;
  try {
    if (d.read_file(i, bytes)) {
      all = bytes;
    } else {
      d.read(i, image);
      all = {image.data(), image.bytes()};
    }
  } catch (const Error&) {
    return "";
  }
  if (all.empty()) return "";
  Xxh3 hash;
  hash.update(std::as_bytes(all));
  return hash.digest().xxh3_128;
}

std::vector<std::string> contents(const Dataset& d, const Numbers& images) {
  std::vector<std::string> hashes(images.size());
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t i = 0; i < images.size(); ++i)
    hashes[i] = contents(d, images[i]);
  return hashes;
}

Numbers every(const Dataset& d, std::int64_t at_most) {
  const std::int64_t n = std::min(d.size(), at_most);
  Numbers numbers(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i)
    numbers[static_cast<std::size_t>(i)] = i * d.size() / n;
  return numbers;
}

std::string leaf_of(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

bool is_file(const std::string& name) {
  std::error_code none;
  return fs::is_regular_file(name, none);
}

// 0 where there is none.
std::uintmax_t size_of(const Dataset& d, std::int64_t i) {
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(d.name(i), failure);
  return failure ? 0 : size;
}

// Leaves those of both for which `key` is the same as one's of the other side.
template <typename Key>
void keep_common(const Dataset& train, Numbers& known, const Dataset& test,
                 Numbers& asked, Key key) {
  using Value = decltype(key(train, 0));
  std::unordered_set<Value> ours, theirs;
  for (const std::int64_t i : asked) theirs.insert(key(test, i));
  std::erase_if(known, [&](std::int64_t i) {
    Value k = key(train, i);
    const bool common = theirs.contains(k);
    if (common) ours.insert(std::move(k));
    return !common;
  });
  std::erase_if(asked, [&](std::int64_t i) { return !ours.contains(key(test, i)); });
}

bool in_memory(const Dataset& d) {
  std::vector<std::uint8_t> bytes;
  try {
    return !d.read_file(0, bytes);
  } catch (const Error&) {
    return false;
  }
}

bool is_readable(const Dataset& d, std::int64_t i) {
  if (d.name(i).find(".npy:") != std::string::npos) return true;  // features
  data::Image image;
  try {
    d.read(i, image);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void find_copies(const Dataset& train, const Dataset& test,
                 const OverlapLimits& limits, Overlap& found) {
  const bool all = train.size() + test.size() <= limits.whole ||
                   (in_memory(train) && in_memory(test));
  Numbers known = every(train, train.size());
  Numbers asked = every(test, all ? test.size() : limits.sampled);
  found.compared = std::ssize(asked);
  if (!all)
    keep_common(train, known, test, asked, [](const Dataset& d, std::int64_t i) {
      return leaf_of(d.name(i));
    });
  if (!known.empty() && is_file(train.name(known[0])) &&
      is_file(test.name(asked[0])))
    keep_common(train, known, test, asked, size_of);
  const std::vector<std::string> known_hashes = contents(train, known),
                                 asked_hashes = contents(test, asked);
  std::unordered_map<std::string_view, std::int64_t> at;
  for (std::size_t i = 0; i < known.size(); ++i)
    if (!known_hashes[i].empty()) at.emplace(known_hashes[i], known[i]);
  std::unordered_set<std::string_view> seen;
  int decoded = 0;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto copied = at.find(asked_hashes[i]);
    if (copied == at.end()) continue;
    // What cannot be read is no part of a score; of many one may be counted.
    if (decoded++ < kDecoded && !is_readable(test, asked[i])) continue;
    if (found.copies++ == 0)
      found.first_copy = {test.name(asked[i]), train.name(copied->second)};
    seen.insert(asked_hashes[i]);
  }
  found.distinct_copies = std::ssize(seen);
}

std::string describe(const Repeats& r, std::int64_t images, const char* which) {
  if (r.again == 0) return "";
  return fmt::format("{} of {} {} images {} again{} "
                     "({}{})", r.again, images, which,
                     r.again == 1 ? "stands there a second time, and counts"
                                  : "stand there a second time, and count",
                     r.otherwise > 0
                         ? fmt::format(", {} under another label", r.otherwise)
                         : "", r.first, r.again > 1 ? ", ..." : "");
}

}  // namespace

Overlap find_overlap(const Dataset& train, const Dataset& test,
                     const OverlapLimits& limits) {
  RealNames names;
  const NameIndex known(train, names), asked(test, names);
  Overlap found;
  found.tested = test.size();
  for (std::int64_t i = 0; i < test.size(); ++i) {
    const std::int64_t at = known.find(asked.name(i));
    if (at >= 0 && found.same++ == 0) found.first_same = train.name(at);
  }
  found.train_repeats = known.repeats();
  found.test_repeats = asked.repeats();
  if (found.same == 0) find_copies(train, test, limits, found);
  return found;
}

std::vector<std::string> refuse_overlap(const Dataset& train,
                                        const std::string& train_path,
                                        const Dataset& test,
                                        const std::string& test_path) {
  const Overlap o = find_overlap(train, test);
  if (o.same > 0)
    throw error(ExitCode::kData,
                "[eval] {} of {} test images in {} {} of {} "
                "({}{}): expected none, as a score of training images says "
                "nothing", o.same, o.tested, test_path,
                o.same == 1 ? "is a training image" : "are training images",
                train_path, o.first_same,
                o.same > 1 ? ", ..." : "");
  const std::string of = o.compared < o.tested
                             ? fmt::format("{} compared", o.compared)
                             : std::to_string(o.tested);
  const std::string which =
      fmt::format("({} is {}{})", o.first_copy.first, o.first_copy.second,
                  o.copies > 1 ? ", ..." : "");
  if (2 * o.distinct_copies > o.compared)
    throw error(ExitCode::kData,
                "[eval] {} of {} test images in {} {} "
                "of {} {}: expected other images, as a score of training images "
                "says nothing", o.copies, of, test_path,
                o.copies == 1 ? "is a copy of a training image"
                              : "are copies of training images",
                train_path, which);
  std::vector<std::string> notes;
  if (o.copies > 0)
    notes.push_back(fmt::format("{} of {} test images {} {}", o.copies, of,
                                o.copies == 1 ? "is a copy of a training image"
                                              : "are copies of training images",
                                which));
  for (const std::string& repeats :
       {describe(o.train_repeats, train.size(), "training"),
        describe(o.test_repeats, test.size(), "test")})
    if (!repeats.empty()) notes.push_back(repeats);
  return notes;
}

}  // namespace music
