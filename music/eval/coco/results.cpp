#include "music/eval/coco/results.h"

#include <utility>

#include "engine/core/error.h"
#include "music/detect/rle.h"
#include "music/eval/coco/mask.h"
#include "music/eval/coco/parallel.h"
#include "music/eval/coco/record_reader.h"
#include "music/eval/coco/require.h"

namespace music::coco {
namespace {

struct ResultsLoader {
  std::string file;
  const GroundTruth& truth;
  ResultsSpec spec;
  Results results;
  // Run lengths wait to be checked on all threads; what is rarer becomes such.
  std::vector<std::string> texts;
  std::vector<std::array<std::uint32_t, 2>> sizes;
  std::vector<std::size_t> records;  // the detection of each text
  std::vector<bool> has_box;

  [[noreturn]] void fail(std::size_t i, const std::string& what) const {
    throw record_error(file, List::kResults, i, what);
  }

  void operator()(Record& r) {
    require(file, List::kResults, r,
            {Key::kImageId, Key::kCategoryId, Key::kScore});
    const bool boxed = r.has(Key::kBox), masked = r.has(Key::kSegmentation);
    const bool masks = spec.type == IouType::kMask;
    if (masks && !masked)
      fail(r.index, "no \"segmentation\", which masks are scored by");
    if (!boxed && !masked) fail(r.index, "no \"bbox\"");
    Detection d;
    d.score = r.score;
    d.image = truth.image(r.image_id);
    d.category = truth.category(r.category_id);
    if (d.image < 0)
      fail(r.index, fmt::format("image_id {} is not among the {} images of the "
                                "ground truth", r.image_id,
                                truth.images.size()));
    if (d.category < 0)
      fail(r.index, fmt::format("category_id {} is not among the {} categories "
                                "of the ground truth", r.category_id,
                                truth.categories.size()));
    if (boxed) {
      d.box = checked_box(file, List::kResults, r);
      d.area = d.box[2] * d.box[3];
    }
    results.boxes_beside_masks |= masks && boxed;
    if (masks || !boxed) add_mask(r, d.image);
    results.detections.push_back(d);
    if (masks) has_box.push_back(boxed);
  }

  void add_mask(Record& r, std::int32_t place) {
    const Image& image = truth.images[static_cast<std::size_t>(place)];
    Segmentation& s = r.segmentation;
    try {
      if (image.height == 0)
        throw error(ExitCode::kData, "a mask, but the ground truth has no "
                    "height and width of its image");
      if (s.form != Segmentation::Form::kText) {
        s.text = detect::rle_to_text(to_rle(s, image.height, image.width));
        s.form = Segmentation::Form::kText;
      } else if (s.size[0] != image.height || s.size[1] != image.width) {
        to_rle(s, image.height, image.width);  // says so
      }
    } catch (const Error& e) {
      fail(r.index, e.what());
    }
    texts.push_back(s.text);  // not more of it than it takes
    sizes.push_back({image.height, image.width});
    records.push_back(r.index);
  }

  // Areas, and boxes where there are none.
  void measure_masks() {
    parallel_records(texts.size(), [&](std::size_t k) {
      const std::size_t i = records[k];
      Detection& d = results.detections[i];
      try {
        const auto mask =
            detect::rle_from_text(texts[k], sizes[k][0], sizes[k][1]);
        if (spec.type == IouType::kBox) d.box = detect::rle_box(mask);
        if (spec.type == IouType::kBox || !(spec.area_of_box && has_box[i]))
          d.area = static_cast<double>(detect::rle_area(mask));
      } catch (const Error& e) {
        fail(i, e.what());
      }
    });
  }
};

}  // namespace

Results load_results(const std::filesystem::path& path,
                     const GroundTruth& truth, const ResultsSpec& spec) {
  ResultsLoader loader{path.string(), truth, spec, {}, {}, {}, {}, {}};
  loader.results.file = read_results(path, std::ref(loader));
  loader.measure_masks();
  if (spec.type == IouType::kMask) loader.results.masks = std::move(loader.texts);
  return std::move(loader.results);
}

}  // namespace music::coco
