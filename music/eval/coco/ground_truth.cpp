#include "music/eval/coco/ground_truth.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "music/detect/rle.h"
#include "music/eval/coco/mask.h"
#include "music/eval/coco/parallel.h"
#include "music/eval/coco/record_reader.h"
#include "music/eval/coco/require.h"

namespace music::coco {
namespace {

template <typename T>
std::int32_t place(const std::vector<T>& sorted, std::int64_t id) {
  const auto at = std::lower_bound(
      sorted.begin(), sorted.end(), id,
      [](const T& item, std::int64_t value) { return item.id < value; });
  return at == sorted.end() || at->id != id
             ? -1
             : static_cast<std::int32_t>(at - sorted.begin());
}

// By id, each of which comes once.
template <typename T>
void sort_by_id(const std::string& file, const char* what,
                std::vector<T>& items) {
  std::stable_sort(items.begin(), items.end(),
                   [](const T& a, const T& b) { return a.id < b.id; });
  for (std::size_t i = 1; i < items.size(); ++i)
    if (items[i].id == items[i - 1].id)
      throw error(ExitCode::kData, "[coco] {}: two {} with the id {}", file,
                  what, items[i].id);
}

struct TruthLoader {
  std::string file;
  IouType type;
  GroundTruth truth;
  // Until the images are known, which may stand behind the annotations.
  std::vector<std::pair<std::int64_t, std::int64_t>> belongs;  // image, category
  std::vector<Segmentation> segmentations;

  void operator()(List list, Record& r) {
    if (list == List::kImages) {
      require(file, list, r, {Key::kId});
      if (type == IouType::kMask)
        require(file, list, r, {Key::kHeight, Key::kWidth});
      Image image{r.id};
      if (r.has(Key::kHeight) && r.has(Key::kWidth)) {
        if (std::min(r.height, r.width) < 1 ||
            std::max(r.height, r.width) > detect::kMaxMaskSide)
          throw record_error(file, list, r.index,
                             fmt::format("image of {} x {}, expected sides of 1 "
                                         "to {}", r.height, r.width,
                                         detect::kMaxMaskSide));
        image.height = static_cast<std::uint32_t>(r.height);
        image.width = static_cast<std::uint32_t>(r.width);
      }
      truth.images.push_back(image);
    } else if (list == List::kCategories) {
      require(file, list, r, {Key::kId});
      truth.categories.push_back(
          {r.id, r.has(Key::kName) ? r.name : std::to_string(r.id)});
    } else {
      require(file, list, r, {Key::kId, Key::kImageId, Key::kCategoryId,
                              Key::kArea, Key::kCrowd,
                              type == IouType::kBox ? Key::kBox
                                                    : Key::kSegmentation});
      Annotation a{.id = r.id, .area = r.area, .crowd = r.crowd != 0};
      if (r.has(Key::kBox)) a.box = checked_box(file, list, r);
      truth.annotations.push_back(a);
      belongs.emplace_back(r.image_id, r.category_id);
      if (type == IouType::kMask)
        segmentations.push_back(std::move(r.segmentation));
    }
  }

  // Ids become places.
  void resolve() {
    sort_by_id(file, "images", truth.images);
    sort_by_id(file, "categories", truth.categories);
    std::unordered_map<std::int64_t, std::size_t> ids;
    for (std::size_t i = 0; i < truth.annotations.size(); ++i) {
      Annotation& a = truth.annotations[i];
      const auto fail = [&](const std::string& what) {
        throw record_error(file, List::kAnnotations, i, what);
      };
      const auto [first, fresh] = ids.emplace(a.id, i);
      if (!fresh)
        fail(fmt::format("id {} is also that of {}", a.id,
                         place_of(List::kAnnotations, first->second)));
      a.image = truth.image(belongs[i].first);
      a.category = truth.category(belongs[i].second);
      if (a.image < 0)
        fail(fmt::format("image_id {} is not among the {} images",
                         belongs[i].first, truth.images.size()));
      if (a.category < 0)
        fail(fmt::format("category_id {} is not among the {} categories",
                         belongs[i].second, truth.categories.size()));
    }
  }

  void make_masks() {
    truth.masks.resize(segmentations.size());
    parallel_records(segmentations.size(), [&](std::size_t i) {
      const Image& image = truth.images[static_cast<std::size_t>(
          truth.annotations[i].image)];
      try {
        truth.masks[i] = detect::rle_to_text(
            to_rle(segmentations[i], image.height, image.width));
      } catch (const Error& e) {
        throw record_error(file, List::kAnnotations, i, e.what());
      }
      segmentations[i] = {};
    });
  }
};

}  // namespace

std::int32_t GroundTruth::image(std::int64_t id) const {
  return place(images, id);
}

std::int32_t GroundTruth::category(std::int64_t id) const {
  return place(categories, id);
}

GroundTruth load_ground_truth(const std::filesystem::path& path, IouType type) {
  TruthLoader loader{path.string(), type, {}, {}, {}};
  loader.truth.file =
      read_ground_truth(path, type == IouType::kMask, std::ref(loader));
  loader.resolve();
  if (type == IouType::kMask) loader.make_masks();
  return std::move(loader.truth);
}

}  // namespace music::coco
