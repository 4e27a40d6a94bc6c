#include "music/eval/eval_data.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

#include "engine/core/error.h"
#include "music/model/foreign_weights.h"

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

void refuse_shared_images(const Dataset& train, const std::string& train_path,
                          const Dataset& test, const std::string& test_path) {
  RealNames names;
  std::unordered_multiset<std::string> tested;
  for (std::int64_t i = 0; i < test.size(); ++i)
    tested.insert(names.of(test.name(i)));
  std::int64_t shared = 0;
  std::string first;
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const std::int64_t times =
        static_cast<std::int64_t>(tested.erase(names.of(train.name(i))));
    if (shared == 0 && times > 0) first = train.name(i);
    shared += times;
  }
  if (shared > 0)
    throw error(ExitCode::kData,
                "[eval] {} of {} test images in {} are training images of {} "
                "({}{}): expected none, as a score of training images says "
                "nothing", shared, test.size(), test_path, train_path, first,
                shared > 1 ? ", ..." : "");
}

// Images of each label; the largest label has some.
std::vector<std::int64_t> count_labels(const Dataset& d,
                                       const std::string& path) {
  std::vector<std::int64_t> counts;
  for (std::int64_t i = 0; i < d.size(); ++i) {
    const int label = d.label(i);
    if (label < 0)
      throw error(ExitCode::kData,
                  "[eval] {} in {} has no label: expected class sub-folders, a "
                  "list with labels, CIFAR or STL-10", d.name(i), path);
    if (static_cast<std::size_t>(label) >= counts.size())
      counts.resize(static_cast<std::size_t>(label) + 1);
    ++counts[static_cast<std::size_t>(label)];
  }
  return counts;
}

// Nothing but the numbers of the classes.
bool numbered(const std::vector<std::string>& names) {
  for (std::size_t c = 0; c < names.size(); ++c)
    if (names[c] != std::to_string(c)) return false;
  return true;
}

// "3 (cat), 5 (dog), ..."
std::string list_classes(const std::vector<int>& labels,
                         const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (i == 5) return text + ", ...";
    const auto c = static_cast<std::size_t>(labels[i]);
    const std::string number = std::to_string(c);
    text += (i == 0 ? "" : ", ") + number;
    if (c < names.size() && names[c] != number) text += " (" + names[c] + ")";
  }
  return text;
}

// Test images under the labels of the training images.
class Relabelled : public Dataset {
 public:
  Relabelled(std::unique_ptr<Dataset> images, std::vector<int> labels,
             std::vector<std::string> classes)
      : images_(std::move(images)),
        labels_(std::move(labels)),
        classes_(std::move(classes)) {}

  std::int64_t size() const override { return images_->size(); }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override {
    return labels_[static_cast<std::size_t>(images_->label(i))];
  }
  std::string name(std::int64_t i) const override { return images_->name(i); }
  void read(std::int64_t i, data::Image& image) const override {
    images_->read(i, image);
  }
  bool read_file(std::int64_t i,
                 std::vector<std::uint8_t>& bytes) const override {
    return images_->read_file(i, bytes);
  }

 private:
  std::unique_ptr<Dataset> images_;
  std::vector<int> labels_;  // by label of images_
  std::vector<std::string> classes_;
};

// Makes one set of classes of both.
class Matching {
 public:
  Matching(std::unique_ptr<Dataset> train, std::string train_path,
           std::unique_ptr<Dataset> test, std::string test_path)
      : train_(std::move(train_path)), test_(std::move(test_path)) {
    data_.train = std::move(train);
    data_.test = std::move(test);
  }

  EvalData match() {
    counts_ = count_labels(*data_.train, train_);
    std::vector<std::int64_t> tested = count_labels(*data_.test, test_);
    data_.classes = static_cast<int>(counts_.size());
    data_.populated = static_cast<int>(
        std::count_if(counts_.begin(), counts_.end(), [](auto n) { return n > 0; }));
    if (data_.populated < 2)
      throw error(ExitCode::kData,
                  "[eval] {} has images of one class only ({}): expected two or "
                  "more, as any encoder scores 100 % on one", train_,
                  list_classes({data_.classes - 1}, data_.train->classes()));
    const std::vector<int> labels = labels_of(tested);
    std::vector<std::int64_t> counts(counts_.size());
    for (std::size_t c = 0; c < tested.size(); ++c)
      if (tested[c] > 0) counts[static_cast<std::size_t>(labels[c])] += tested[c];
    tell_empty(counts);
    for (std::size_t c = 0; c < labels.size(); ++c)
      if (labels[c] != static_cast<int>(c)) {
        data_.test = std::make_unique<Relabelled>(
            std::move(data_.test), labels, data_.train->classes());
        break;
      }
    refuse_shared_images(*data_.train, train_, *data_.test, test_);
    for (const std::string& note : data_.notes) spdlog::warn("[eval] {}", note);
    return std::move(data_);
  }

 private:
  bool has_training_images(int label) const {
    return label < data_.classes && counts_[static_cast<std::size_t>(label)] > 0;
  }

  // The training label of every test label that has images.
  std::vector<int> labels_of(const std::vector<std::int64_t>& tested) {
    const auto &ours = data_.train->classes(), &theirs = data_.test->classes();
    std::map<std::string_view, int> label;
    for (std::size_t c = 0; c < ours.size(); ++c)
      label.emplace(ours[c], static_cast<int>(c));
    std::vector<int> labels(tested.size(), -1), unknown;
    for (std::size_t c = 0; c < tested.size(); ++c) {
      if (tested[c] == 0) {
        labels[c] = static_cast<int>(c);  // of no image
        continue;
      }
      const auto found = c < theirs.size() ? label.find(theirs[c]) : label.end();
      if (found != label.end() && has_training_images(found->second))
        labels[c] = found->second;
      else
        unknown.push_back(static_cast<int>(c));
    }
    if (unknown.empty()) return labels;
    const bool numbers = numbered(ours), test_numbers = numbered(theirs);
    if (numbers != test_numbers &&
        (test_numbers || theirs.size() == ours.size())) {
      unknown.clear();
      for (std::size_t c = 0; c < tested.size(); ++c) {
        labels[c] = static_cast<int>(c);
        if (tested[c] > 0 && !has_training_images(labels[c]))
          unknown.push_back(labels[c]);
      }
      data_.notes.push_back(
          fmt::format("classes of {} and {} are matched by number: {} has no "
                      "class names", train_, test_, numbers ? train_ : test_));
    }
    if (!unknown.empty())
      throw error(ExitCode::kData,
                  "[eval] {} has test images of {} of its {} classes that {} has "
                  "no training image of: {}; expected the classes of the "
                  "training images ({}, ...)", test_, unknown.size(),
                  theirs.size(), train_, list_classes(unknown, theirs),
                  ours.empty() ? "0" : ours.front());
    return labels;
  }

  void tell_empty(const std::vector<std::int64_t>& tested) {
    std::vector<int> untested, empty;
    for (int c = 0; c < data_.classes; ++c) {
      if (!has_training_images(c)) empty.push_back(c);
      else if (tested[static_cast<std::size_t>(c)] == 0) untested.push_back(c);
    }
    const auto& names = data_.train->classes();
    if (!untested.empty())
      data_.notes.push_back(fmt::format(
          "{} of {} classes have no test image: {}", untested.size(),
          data_.populated, list_classes(untested, names)));
    if (!empty.empty())
      data_.notes.push_back(fmt::format(
          "class{} {} of {} to {}: no image at all{}", empty.size() > 1 ? "es" : "",
          list_classes(empty, names), 0, data_.classes - 1,
          empty.size() == 1 && empty[0] == 0 ? " (labels count from 1?)" : ""));
  }

  std::string train_, test_;
  EvalData data_;
  std::vector<std::int64_t> counts_;  // training images by label
};

}  // namespace

EvalData open_eval_data(const std::string& train, const std::string& test,
                        data::DatasetFormat format) {
  refuse_as_images(train);
  refuse_as_images(test);
  const bool own = data::has_test_split(test, format);
  std::error_code none;
  if (!own && (train == test || fs::equivalent(train, test, none)))
    throw error(ExitCode::kData,
                "[eval] {} has no test images of its own, and would be scored on "
                "its training images: expected a folder with train/ and val/ or "
                "test/, or separate --train and --test", train);
  auto images = data::open_dataset(train, format, data::Split::kTrain);
  return match_eval_data(
      std::move(images), train,
      data::open_dataset(test, format,
                         own ? data::Split::kTest : data::Split::kTrain),
      test);
}

EvalData match_eval_data(std::unique_ptr<data::Dataset> train,
                         const std::string& train_path,
                         std::unique_ptr<data::Dataset> test,
                         const std::string& test_path) {
  return Matching(std::move(train), train_path, std::move(test), test_path)
      .match();
}

}  // namespace music
