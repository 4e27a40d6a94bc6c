#include "data/label_subset.h"

#include <algorithm>
#include <charconv>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <numeric>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

using Numbers = std::vector<std::uint32_t>;

constexpr std::string_view kPerClass = "-per-class";
// A seed's stream of its own: no epoch reaches it, and data.limit has b = 0.
constexpr std::uint32_t kStream = 0xFFFFFFFFu;
constexpr std::uint32_t kExtra = 1;  // c: which classes have one more

std::string last_part(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

// What may look like another name, with its bytes.
std::string shown(const std::string& name) {
  const bool plain =
      std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~'; });
  return plain ? name : one_line(name) + " " + in_quotes(last_part(name));
}

// "n01, n02, ... and 3 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 10;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i)
    out += (i == 0 ? "" : ", ") + shown(names[i]);
  if (names.size() > kShown)
    out += fmt::format(" and {} more", names.size() - kShown);
  return out;
}

// The numbers of each class's images.
std::vector<Numbers> by_class(const Dataset& dataset) {
  const auto& classes = dataset.classes();
  std::vector<Numbers> images(classes.size());
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const int label = dataset.label(i);
    if (label < 0 || static_cast<std::size_t>(label) >= classes.size())
      throw error(ExitCode::kData,
                  "[labels] {} has no label: expected one for every image, to "
                  "choose among them", dataset.name(i));
    images[static_cast<std::size_t>(label)].push_back(
        static_cast<std::uint32_t>(i));
  }
  return images;
}

void require_every_class(const std::vector<std::string>& lacking,
                         std::size_t classes, const std::string& where) {
  if (!lacking.empty())
    throw error(ExitCode::kData,
                "[labels] {} no image of {} of {} classes ({}): expected at "
                "least one of each", where, lacking.size(), classes,
                some_of(lacking));
}

// Puts `count` elements drawn by rng in front.
void draw(Numbers& numbers, std::size_t count, Rng rng) {
  for (std::size_t i = 0; i < count; ++i)
    std::swap(numbers[i],
              numbers[i + rng.below(static_cast<std::uint32_t>(numbers.size() - i))]);
}

// How many images of each class make `total`.
std::vector<std::size_t> shared_out(const std::vector<Numbers>& images,
                                    std::size_t total, std::uint64_t seed) {
  std::vector<std::size_t> share(images.size());
  Numbers open(images.size());  // classes that can give more than the others do
  std::iota(open.begin(), open.end(), 0u);
  std::size_t each = 0;
  for (bool settled = false; !settled;) {
    each = open.empty() ? 0 : total / open.size();
    settled = true;
    std::erase_if(open, [&](std::uint32_t c) {
      if (images[c].size() > each) return false;
      share[c] = images[c].size();
      total -= share[c];
      settled = false;
      return true;
    });
  }
  const std::size_t more = open.empty() ? 0 : total - each * open.size();
  draw(open, more, Rng(seed, RngPurpose::kShuffle, kStream, 0, kExtra));
  for (std::size_t i = 0; i < open.size(); ++i)
    share[open[i]] = each + (i < more ? 1 : 0);
  return share;
}

Numbers drawn(const Dataset& dataset, const LabelChoice& choice,
              std::uint64_t seed) {
  std::vector<Numbers> images = by_class(dataset);
  const auto& classes = dataset.classes();
  std::vector<std::string> lacking;
  for (std::size_t c = 0; c < images.size(); ++c)
    if (images[c].empty()) lacking.push_back(classes[c]);
  require_every_class(lacking, classes.size(), "the data has");

  std::vector<std::size_t> counts(images.size(),
                                  static_cast<std::size_t>(choice.per_class));
  if (choice.kind == LabelChoice::Kind::kShare) {
    const auto total = static_cast<std::size_t>(
        std::llround(choice.share * static_cast<double>(dataset.size())));
    if (total == 0)
      throw error(ExitCode::kUsage,
                  "[labels] {:g}% of {} images is none: expected a larger share",
                  100 * choice.share, dataset.size());
    counts = shared_out(images, std::max(total, images.size()), seed);
  }
  Numbers chosen;
  for (std::size_t c = 0; c < images.size(); ++c) {
    if (counts[c] > images[c].size())
      throw error(ExitCode::kData,
                  "[labels] class {} has {} images: expected at least the {} of "
                  "each class that were asked for", classes[c],
                  images[c].size(), counts[c]);
    draw(images[c], counts[c],
         Rng(seed, RngPurpose::kShuffle, kStream,
             static_cast<std::uint32_t>(c) + 1));
    chosen.insert(chosen.end(), images[c].begin(),
                  images[c].begin() + static_cast<std::ptrdiff_t>(counts[c]));
  }
  return chosen;
}

// Parts of a name are folders, and what a file of many images is divided into.
std::string in_parts(std::string name) {
  std::ranges::replace(name, ':', '/');
  while (name.starts_with("./")) name.erase(0, 2);
  return name;
}

bool ends_with_parts(const std::string& name, const std::string& end) {
  return name.ends_with(end) &&
         (name.size() == end.size() || name[name.size() - end.size() - 1] == '/');
}

struct Line {
  std::string text, parts;
  int number = 0;
  int label = -1;           // of the class it names, or -1
  std::int64_t image = -1;  // that it is the name of
  int other_label = -1;     // of an image that has the name only
};

std::vector<Line> read_lines(const std::string& path, const Dataset& dataset) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw error(ExitCode::kData,
                "[labels] cannot read {}: {}; expected a share as 1%, a number "
                "as 10-per-class, or a file that lists images", path,
                std::generic_category().message(errno));
  std::unordered_map<std::string, int> labels;
  for (const std::string& name : dataset.classes())
    labels.emplace(name, static_cast<int>(labels.size()));
  std::unordered_map<std::string, int> seen;
  std::vector<Line> lines;
  std::string text;
  for (int number = 1; std::getline(stream, text); ++number) {
    if (text.find('\0') != text.npos)
      throw error(ExitCode::kData,
                  "[labels] {} is not text, expected the name of an image a line",
                  path);
    if (number == 1 && text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    text.erase(text.find_last_not_of(" \t\r") + 1);
    if (text.empty()) continue;
    Line line{text, in_parts(text), number};
    const auto [first, is_new] = seen.emplace(line.parts, number);
    if (!is_new)
      throw error(ExitCode::kData,
                  "[labels] {}:{}: {} stands on line {} already", path, number,
                  text, first->second);
    const std::string file = last_part(line.parts);
    const auto named = labels.find(file.substr(0, file.find('_')));
    if (named != labels.end()) line.label = named->second;
    lines.push_back(std::move(line));
  }
  if (lines.empty())
    throw error(ExitCode::kData,
                "[labels] {} lists no image, expected a name a line", path);
  return lines;
}

void find_images(std::vector<Line>& lines, const Dataset& dataset,
                 const std::string& path) {
  std::unordered_multimap<std::string, Line*> by_name;
  for (Line& line : lines) by_name.emplace(last_part(line.parts), &line);
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const std::string name = in_parts(dataset.name(i));
    const Line* taken = nullptr;
    const auto [begin, end] = by_name.equal_range(last_part(name));
    for (auto it = begin; it != end; ++it) {
      Line& line = *it->second;
      if (!ends_with_parts(name, line.parts)) continue;
      if (line.label >= 0 && line.label != dataset.label(i)) {
        line.other_label = dataset.label(i);
        continue;
      }
      if (line.image >= 0)
        throw error(ExitCode::kData,
                    "[labels] {}:{}: {} and {} are both {}: expected more of "
                    "the path", path, line.number, dataset.name(line.image),
                    dataset.name(i), line.text);
      if (taken)
        throw error(ExitCode::kData,
                    "[labels] {}: lines {} and {} are the same image {}", path,
                    std::min(taken->number, line.number),
                    std::max(taken->number, line.number), dataset.name(i));
      line.image = i;
      taken = &line;
    }
  }
}

Numbers listed(const Dataset& dataset, const std::string& path) {
  const auto& classes = dataset.classes();
  const std::size_t all_classes = by_class(dataset).size();
  std::vector<Line> lines = read_lines(path, dataset);
  find_images(lines, dataset, path);
  std::vector<std::string> missing;
  std::vector<bool> has(all_classes);
  Numbers chosen;
  for (const Line& line : lines) {
    if (line.image >= 0) {
      chosen.push_back(static_cast<std::uint32_t>(line.image));
      has[static_cast<std::size_t>(dataset.label(line.image))] = true;
    } else if (line.other_label >= 0) {
      missing.push_back(fmt::format(
          "{}, which is of class {} there", line.text,
          classes[static_cast<std::size_t>(line.other_label)]));
    } else {
      missing.push_back(line.text);
    }
  }
  if (!missing.empty())
    throw error(ExitCode::kData,
                "[labels] {} of {} images of {} {} not in the data: {}",
                missing.size(), lines.size(), path,
                missing.size() == 1 ? "is" : "are", some_of(missing));
  std::vector<std::string> lacking;
  for (std::size_t c = 0; c < has.size(); ++c)
    if (!has[c]) lacking.push_back(classes[c]);
  require_every_class(lacking, has.size(), path + " names");
  return chosen;
}

}  // namespace

LabelChoice parse_label_choice(const std::string& text) {
  LabelChoice choice;
  const auto number = [&](std::string_view digits, auto& value) {
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return failure == std::errc() && end == digits.data() + digits.size();
  };
  const std::string_view all = text;
  if (all.ends_with('%')) {
    choice.kind = LabelChoice::Kind::kShare;
    if (!number(all.substr(0, all.size() - 1), choice.share) ||
        !(choice.share > 0 && choice.share <= 100))
      throw error(ExitCode::kUsage,
                  "[labels] found {}: expected a share above 0% and up to 100%",
                  text);
    choice.share /= 100;
  } else if (all.ends_with(kPerClass)) {
    choice.kind = LabelChoice::Kind::kPerClass;
    if (!number(all.substr(0, all.size() - kPerClass.size()),
                choice.per_class) ||
        choice.per_class < 1)
      throw error(ExitCode::kUsage,
                  "[labels] found {}: expected a number from 1, as 10-per-class",
                  text);
  } else {
    choice.list = text;
  }
  return choice;
}

std::unique_ptr<Dataset> label_subset(std::unique_ptr<Dataset> dataset,
                                      const LabelChoice& choice,
                                      std::uint64_t seed) {
  if (dataset->classes().empty())
    throw error(ExitCode::kData,
                "[labels] the data has no labels to choose among: expected class "
                "sub-folders, a list with class numbers, shards with .cls files, "
                "CIFAR or STL-10");
  Numbers chosen = choice.kind == LabelChoice::Kind::kList
                       ? listed(*dataset, choice.list)
                       : drawn(*dataset, choice, seed);
  std::sort(chosen.begin(), chosen.end());
  return pick(std::move(dataset), std::move(chosen));
}

std::string describe_labels(const Dataset& chosen, std::int64_t from) {
  std::vector<std::int64_t> counts(chosen.classes().size());
  for (std::int64_t i = 0; i < chosen.size(); ++i)
    ++counts[static_cast<std::size_t>(chosen.label(i))];
  const auto [least, most] = std::ranges::minmax(counts);
  return fmt::format("{} of {} images, {} of each of {} classes", chosen.size(),
                     from,
                     least == most ? std::to_string(least)
                                   : fmt::format("{} to {}", least, most),
                     counts.size());
}

}  // namespace music::data
