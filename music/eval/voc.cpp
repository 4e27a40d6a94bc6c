#include "music/eval/voc.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <unordered_set>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

namespace fs = std::filesystem;

bool is_voc(const fs::path& path) {
  return fs::is_directory(path / "ImageSets" / "Main");
}

// Folders of a folder that are VOC folders, sorted.
std::vector<fs::path> voc_folders(const fs::path& path) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator it(path, failure), end; !failure && it != end;
       it.increment(failure))
    if (is_voc(it->path())) found.push_back(it->path());
  std::sort(found.begin(), found.end());
  return found;
}

fs::path find_root(const fs::path& path) {
  if (is_voc(path)) return path;
  std::vector<fs::path> found = voc_folders(path);
  if (found.empty()) found = voc_folders(path / "VOCdevkit");
  if (found.size() > 1)
    throw error(ExitCode::kData,
                "[voc] {} holds {} and {}: expected one of them, by its own path",
                path.string(), found[0].filename().string(),
                found[1].filename().string());
  if (found.empty())
    throw error(ExitCode::kData,
                "[voc] {} has no ImageSets/Main, nor a folder with one: expected "
                "a VOCdevkit or its VOC2007", path.string());
  return found[0];
}

// The classes for which there is a list of the set.
std::vector<std::string> classes_of(const fs::path& lists, const std::string& set) {
  const std::string ending = "_" + set + ".txt";
  std::vector<std::string> classes;
  for (const auto& entry : fs::directory_iterator(lists)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > ending.size() && name.ends_with(ending))
      classes.push_back(name.substr(0, name.size() - ending.size()));
  }
  std::sort(classes.begin(), classes.end());
  return classes;
}

struct List {
  fs::path path;
  std::vector<std::string> images;
  std::vector<std::int8_t> targets;
};

List read_list(const fs::path& path) {
  List list{path, {}, {}};
  std::ifstream stream(path);
  if (!stream)
    throw error(ExitCode::kData, "[voc] cannot read {}", path.string());
  std::unordered_set<std::string> seen;
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    std::istringstream words(line);
    std::string image, target, more;
    if (!(words >> image)) continue;  // an empty line
    words >> target;
    const bool good = !(words >> more) &&
                      (target == "1" || target == "-1" || target == "0") &&
                      image.find('/') == image.npos && image != "..";
    if (!good)
      throw error(ExitCode::kData,
                  "[voc] {}:{}: {}, expected an image's name and 1, -1 or 0",
                  path.string(), number, in_quotes(line));
    if (!seen.insert(image).second)
      throw error(ExitCode::kData, "[voc] {}:{}: {} stands in it twice",
                  path.string(), number, image);
    list.images.push_back(image);
    list.targets.push_back(static_cast<std::int8_t>(std::stoi(target)));
  }
  if (list.images.empty())
    throw error(ExitCode::kData, "[voc] {} lists no image", path.string());
  return list;
}

struct NamedSet {
  VocSet set;
  std::vector<std::string> images;
};

NamedSet read_set(const fs::path& root, const std::vector<std::string>& classes,
                  const std::string& name) {
  const fs::path lists = root / "ImageSets" / "Main";
  NamedSet read;
  List first;
  for (const std::string& c : classes) {
    List list = read_list(lists / fmt::format("{}_{}.txt", c, name));
    const auto count = [&](int target) {
      return std::ranges::count(list.targets, target);
    };
    if (count(1) == 0 || count(-1) == 0)
      throw error(ExitCode::kData,
                  "[voc] {} has {} images with and {} without the class, expected "
                  "both", list.path.string(), count(1), count(-1));
    if (first.images.empty()) {
      first = list;
    } else if (list.images != first.images) {
      const auto [a, b] = std::ranges::mismatch(list.images, first.images);
      throw error(
          ExitCode::kData,
          "[voc] {} has {} where {} has {}: expected the same images in the same "
          "order",
          list.path.string(), a == list.images.end() ? "its end" : *a,
          first.path.filename().string(),
          b == first.images.end() ? "its end" : *b);
    }
    read.set.targets.push_back(std::move(list.targets));
  }
  std::vector<std::string> files;
  for (std::size_t i = 0; i < first.images.size(); ++i) {
    files.push_back("JPEGImages/" + first.images[i] + ".jpg");
    if (!fs::is_regular_file(root / files.back()))
      throw error(ExitCode::kData, "[voc] {} lists {}, but there is no {}",
                  first.path.string(), first.images[i],
                  (root / files.back()).string());
  }
  read.set.images = data::open_files(files, root.string());
  read.images = std::move(first.images);
  return read;
}

}  // namespace

bool looks_like_voc(const std::string& path) {
  return is_voc(path) || !voc_folders(path).empty() ||
         !voc_folders(fs::path(path) / "VOCdevkit").empty();
}

VocData open_voc(const std::string& path, const std::string& train_set,
                 const std::string& test_set) {
  VocData voc;
  const fs::path root = find_root(path);
  voc.root = root.string();
  const fs::path lists = root / "ImageSets" / "Main";
  voc.classes = classes_of(lists, train_set);
  const std::vector<std::string> tested = classes_of(lists, test_set);
  if (voc.classes.empty())
    throw error(ExitCode::kData,
                "[voc] {} has no list CLASS_{}.txt, expected one a class",
                lists.string(), train_set);
  if (tested != voc.classes) {
    std::vector<std::string> odd;
    std::ranges::set_symmetric_difference(voc.classes, tested,
                                          std::back_inserter(odd));
    throw error(ExitCode::kData,
                "[voc] {}: class {} has a list of {} or of {}, expected both",
                lists.string(), odd.front(), train_set, test_set);
  }
  NamedSet train = read_set(root, voc.classes, train_set);
  NamedSet test = read_set(root, voc.classes, test_set);
  const std::unordered_set<std::string> known(train.images.begin(),
                                              train.images.end());
  for (const std::string& image : test.images)
    if (known.contains(image))
      throw error(ExitCode::kData,
                  "[voc] {} is in the lists of {} and of {}, expected one of them",
                  image, train_set, test_set);
  voc.train = std::move(train.set);
  voc.test = std::move(test.set);
  return voc;
}

}  // namespace music
