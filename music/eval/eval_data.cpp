#include "music/eval/eval_data.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "music/eval/class_names.h"
#include "music/eval/overlap.h"
#include "music/model/foreign_weights.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using data::Dataset;

// Images of each label; the largest label has some.
std::vector<std::int64_t> count_labels(const Dataset& d,
                                       const std::string& path) {
  std::vector<std::int64_t> counts;
  std::int64_t without = 0, first = 0;
  for (std::int64_t i = 0; i < d.size(); ++i) {
    const int label = d.label(i);
    if (label < 0) {
      if (without++ == 0) first = i;
      continue;
    }
    if (static_cast<std::size_t>(label) >= counts.size())
      counts.resize(static_cast<std::size_t>(label) + 1);
    ++counts[static_cast<std::size_t>(label)];
  }
  if (without > 0)
    throw error(ExitCode::kData,
                "[eval] {} in {} has no label{}: expected class sub-folders, a list "
                "with class numbers, shards with KEY.cls, CIFAR, STL-10, or numbers from 0 in "
                "labels.npy", d.name(first), path,
                without > 1 ? fmt::format(", nor {} {}",
                                          without == 2 ? "has" : "have",
                                          counted(without - 1, "more image"))
                            : "");
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
    if (c < names.size() && names[c] != number)
      text += " (" + shown_class(names[c]) + ")";
  }
  return text;
}

// Of the first class that one of the training classes is nearly called: what the
// eye may not see.
std::string near_miss(const std::vector<int>& labels,
                      const std::vector<std::string>& theirs,
                      const std::vector<std::string>& ours) {
  std::multimap<std::string, std::string_view> bare;
  for (const std::string& name : ours) bare.emplace(bare_class(name), name);
  for (const int c : labels) {
    const auto& name = theirs[static_cast<std::size_t>(c)];
    const auto [begin, end] = bare.equal_range(bare_class(name));
    for (auto it = begin; it != end; ++it)
      if (const std::string alone = sole_difference(name, it->second);
          !alone.empty())
        return fmt::format("; {} and the training class {} differ only by {}",
                           in_quotes(name), in_quotes(it->second), alone);
  }
  return "";
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

// A folder train/ beside others than val/ and test/ is taken for a class.
std::string part_hint(const std::string& path) {
  std::error_code none;
  const fs::path part = fs::path(path) / "train";
  return fs::is_directory(part, none) && !data::has_test_split(path, {})
             ? "; was " + part.string() + " meant?" : "";
}

// A program may open its data several times.
void warn_once(const std::string& note) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(note).second) spdlog::warn("[eval] {}", note);
}

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
                  "more, as any encoder scores 100 % on one{}", train_,
                  list_classes({data_.classes - 1}, data_.train->classes()),
                  part_hint(train_));
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
    for (std::string& note :
         refuse_overlap(*data_.train, train_, *data_.test, test_))
      data_.notes.push_back(std::move(note));
    tell_alike();
    for (const std::string& note : data_.notes) warn_once(note);
    return std::move(data_);
  }

 private:
  bool has_training_images(int label) const {
    return label < data_.classes && counts_[static_cast<std::size_t>(label)] > 0;
  }

  // Whether the test labels look like the training labels, and one more.
  bool shifted(const std::vector<std::int64_t>& tested) const {
    return counts_[0] > 0 && tested[0] == 0 && tested.size() == counts_.size() + 1;
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
                  "no training image of: {}{}{}; expected the classes of the "
                  "training images ({}, ...){}", test_, unknown.size(),
                  theirs.size(), train_, list_classes(unknown, theirs),
                  near_miss(unknown, theirs, ours),
                  numbers && test_numbers && shifted(tested)
                      ? "; labels count from 1 there, and from 0 in training?" : "",
                  ours.empty() ? "0" : shown_class(ours.front()),
                  part_hint(train_));
    return labels;
  }

  // Training classes that are one to the eye, as of two archives.
  void tell_alike() {
    const auto& names = data_.train->classes();
    std::map<std::string, std::string_view> bare;
    for (const std::string& name : names) {
      const auto [at, is_new] = bare.emplace(bare_class(name), name);
      if (is_new) continue;
      const std::string alone = sole_difference(at->second, name);
      if (alone.empty()) continue;
      data_.notes.push_back(
          fmt::format("two training classes, {} and {}, differ only by {}",
                      in_quotes(at->second), in_quotes(name), alone));
      return;
    }
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
          "{} of {} classes {} no test image: {}", untested.size(), data_.populated,
          untested.size() == 1 ? "has" : "have", list_classes(untested, names)));
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

// Two folders that could be scored; the format's own reader takes val.
bool has_both_parts(const std::string& path) {
  std::error_code none;
  return fs::is_directory(fs::path(path) / "val", none) &&
         fs::is_directory(fs::path(path) / "test", none);
}

// " (found train, validation)": folders that may have been meant for a split.
std::string other_parts(const std::string& path) {
  std::string found;
  std::error_code none;
  for (const char* name : {"train", "training", "valid", "validation", "dev",
                           "eval", "testing"})
    if (fs::is_directory(fs::path(path) / name, none))
      found += (found.empty() ? " (found " : ", ") + std::string(name);
  return found.empty() ? "" : found + ")";
}

}  // namespace

EvalData open_eval_data(const std::string& train, const std::string& test,
                        data::DatasetFormat format, const std::string& flags) {
  refuse_as_images(train);
  refuse_as_images(test);
  const bool own = data::has_test_split(test, format);
  std::error_code none;
  const bool there = fs::exists(train, none) || train.find('{') != train.npos;
  if (!own && there && (train == test || fs::equivalent(train, test, none)))
    throw error(ExitCode::kData,
                "[eval] {} has no test images of its own{}, and would be scored on "
                "its training images: expected a folder with train/ and val/ or "
                "test/, or {}", train, other_parts(train), flags);
  auto images = data::open_dataset(train, format, data::Split::kTrain);
  EvalData out = match_eval_data(
      std::move(images), train,
      data::open_dataset(test, format,
                         own ? data::Split::kTest : data::Split::kTrain),
      test);
  if (own && has_both_parts(test)) {
    out.notes.push_back(fmt::format(
        "{} has val and test: val is scored; for the other give {}", test, flags));
    warn_once(out.notes.back());
  }
  return out;
}

EvalData match_eval_data(std::unique_ptr<data::Dataset> train,
                         const std::string& train_path,
                         std::unique_ptr<data::Dataset> test,
                         const std::string& test_path) {
  return Matching(std::move(train), train_path, std::move(test), test_path)
      .match();
}

}  // namespace music
