// bench_coco: a set of the size of COCO's val2017 with made-up annotations and
// detections, scored from files to the twelve numbers, beside pycocotools in
// the same run. Numbers are compared before times are.

#include <omp.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numbers>

#include "dist/threads.h"
#include "engine/core/rng.h"
#include "engine/io/file.h"
#include "music/detect/polygon.h"
#include "music/eval/coco/summary.h"
#include "tools/bench_common.h"
#include "tools/cli.h"

namespace {

using namespace music;

struct Options {
  int images = 5000, annotations = 36000, categories = 80, detections = 100;
  int rounds = 3, threads = 0;
  std::string python = "python3", peer_script = MUSIC_PEER_SCRIPT, keep;
  std::vector<std::string> types{"bbox", "segm"};
};

struct Size { int height, width; };

struct Thing {
  int image, category;
  std::array<double, 4> box;
  bool crowd;
};

// Draws and writes the three files.
class Maker {
 public:
  Maker(const Options& o, const std::filesystem::path& folder)
      : o_(o), folder_(folder) {}

  void make() {
    constexpr Size kSizes[] = {{480, 640}, {640, 480}, {427, 640}, {375, 500}};
    for (int i = 0; i < o_.images; ++i) sizes_.push_back(kSizes[pick(4)]);
    write_truth();
    write_results();
  }

 private:
  int pick(int n) { return static_cast<int>(rng_.uniform() * static_cast<float>(n)); }
  double draw(double low, double high) {
    return low + (high - low) * rng_.uniform_double();
  }
  // The first is three in ten, the others fall off.
  int category() {
    const double u = draw(0, 1);
    if (u < 0.3) return 0;
    return std::min(o_.categories - 1,
                    static_cast<int>(std::pow((u - 0.3) / 0.7, 2) * o_.categories));
  }
  std::array<double, 4> random_box(const Size& s) {
    const double w = std::exp(draw(std::log(8.0), std::log(0.8 * s.width)));
    const double h = std::exp(draw(std::log(8.0), std::log(0.8 * s.height)));
    return {draw(0, s.width - w), draw(0, s.height - h), w, h};
  }
  std::vector<double> outline(const std::array<double, 4>& b) {
    std::vector<double> points;
    const int corners = 12 + pick(36);
    for (int i = 0; i < corners; ++i) {
      const double angle = 2 * std::numbers::pi * i / corners;
      const double radius = draw(0.8, 1);
      points.push_back(b[0] + b[2] / 2 * (1 + radius * std::cos(angle)));
      points.push_back(b[1] + b[3] / 2 * (1 + radius * std::sin(angle)));
      for (std::size_t k = points.size() - 2; k < points.size(); ++k)
        points[k] = std::round(points[k] * 100) / 100;
    }
    return points;
  }
  static std::string numbers(std::span<const double> v) {
    std::string text;
    for (const double x : v) text += fmt::format("{}{}", text.empty() ? "" : ",", x);
    return "[" + text + "]";
  }
  detect::Rle mask(std::span<const double> points, int image) const {
    const Size& s = sizes_[static_cast<std::size_t>(image)];
    return detect::rle_from_polygon(points, static_cast<std::uint32_t>(s.height),
                                    static_cast<std::uint32_t>(s.width));
  }
  static std::int64_t image_id(int i) { return 7 + 97 * std::int64_t{i}; }

  void write_truth() {
    FileWriter file(folder_ / "gt.json");
    std::string text = R"({"info":{"year":2017},"licenses":[],"images":[)";
    for (int i = 0; i < o_.images; ++i)
      text += fmt::format(
          R"({}{{"id":{},"file_name":"{:012}.jpg","height":{},"width":{}}})",
          i ? "," : "", image_id(i), image_id(i),
          sizes_[static_cast<std::size_t>(i)].height,
          sizes_[static_cast<std::size_t>(i)].width);
    text += R"(],"annotations":[)";
    for (int i = 0; i < o_.annotations; ++i) {
      // One image in a hundred has none.
      const int image = pick(o_.images) / 100 * 100 + 1 + pick(99);
      Thing t{std::min(image, o_.images - 1), category(), {}, draw(0, 1) < 0.012};
      t.box = random_box(sizes_[static_cast<std::size_t>(t.image)]);
      const auto points = outline(t.box);
      const auto m = mask(points, t.image);
      std::string counts;
      for (const std::uint32_t n : m.counts)
        counts += fmt::format("{}{}", counts.empty() ? "" : ",", n);
      text += fmt::format(
          R"({}{{"id":{},"image_id":{},"category_id":{},"area":{},"iscrowd":{},"bbox":{},"segmentation":{}}})",
          i ? "," : "", i + 1, image_id(t.image), t.category + 1,
          detect::rle_area(m), static_cast<int>(t.crowd), numbers(t.box),
          t.crowd ? fmt::format(R"({{"size":[{},{}],"counts":[{}]}})", m.height,
                                m.width, counts)
                  : "[" + numbers(points) + "]");
      things_.push_back(t);
    }
    text += R"(],"categories":[)";
    for (int k = 0; k < o_.categories; ++k)
      text += fmt::format(R"({}{{"id":{},"name":"category {}"}})", k ? "," : "",
                          k + 1, k + 1);
    file.write(text + "]}");
    file.commit();
  }

  void write_results() {
    FileWriter boxes(folder_ / "bbox.json"), masks(folder_ / "segm.json");
    boxes.write("[");
    masks.write("[");
    const int count = o_.images * o_.detections;
    for (int i = 0; i < count; ++i) {
      Thing t{pick(o_.images), category(), {}, false};
      double score = 0.05 + 0.3 * std::pow(draw(0, 1), 4);
      if (!things_.empty() && draw(0, 1) < 0.15) {  // finds something
        t = things_[static_cast<std::size_t>(pick(o_.annotations))];
        for (int k = 0; k < 2; ++k) {
          const auto at = static_cast<std::size_t>(k);
          t.box[at] += draw(-0.08, 0.08) * t.box[at + 2];
          t.box[at + 2] *= draw(0.9, 1.1);
        }
        score = draw(0.05, 1);
      } else {
        t.box = random_box(sizes_[static_cast<std::size_t>(t.image)]);
      }
      const auto m = mask(outline(t.box), t.image);
      const std::string head =
          fmt::format(R"({}{{"image_id":{},"category_id":{},"score":{},)",
                      i ? "," : "", image_id(t.image), t.category + 1, score);
      boxes.write(head + R"("bbox":)" + numbers(t.box) + "}");
      masks.write(head + fmt::format(
          R"("segmentation":{{"size":[{},{}],"counts":{}}}}})", m.height, m.width,
          nlohmann::json(detect::rle_to_text(m)).dump()));
    }
    boxes.write("]");
    masks.write("]");
    boxes.commit();
    masks.commit();
  }

  const Options& o_;
  std::filesystem::path folder_;
  Rng rng_{20240607, RngPurpose::kData};
  std::vector<Size> sizes_;
  std::vector<Thing> things_;
};

struct Scored {
  double seconds = 0;
  std::vector<double> numbers;  // twelve, then a category each
};

Scored ours(const std::filesystem::path& folder, const std::string& name) {
  const auto start = std::chrono::steady_clock::now();
  const auto type = name == "bbox" ? coco::IouType::kBox : coco::IouType::kMask;
  const auto truth = coco::load_ground_truth(folder / "gt.json", type);
  const auto results =
      coco::load_results(folder / (name + ".json"), truth, {type, false});
  const auto evaluation = coco::evaluate(truth, results, type);
  const auto twelve = coco::summarise(evaluation);
  Scored s;
  s.seconds = std::chrono::duration<double>(
                  std::chrono::steady_clock::now() - start).count();
  s.numbers.assign(twelve.begin(), twelve.end());
  for (const double v : coco::category_precision(evaluation))
    s.numbers.push_back(v);
  return s;
}

nlohmann::json ask_peer(const Options& o, const std::filesystem::path& folder,
                        const std::string& name) {
  const std::string command = fmt::format(
      "'{}' '{}' '{}' '{}' {} 2>/dev/null", o.python, o.peer_script,
      (folder / "gt.json").string(), (folder / (name + ".json")).string(), name);
  std::string text;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char piece[4096];
    while (const std::size_t n = std::fread(piece, 1, sizeof piece, pipe))
      text.append(piece, n);
    pclose(pipe);
  }
  return nlohmann::json::parse(text, nullptr, false);
}

void bench(const Options& o, const std::filesystem::path& folder,
           const std::string& name) {
  Scored best = ours(folder, name);
  const double peak = peak_rss_mib();
  const auto peer = o.python.empty() ? nlohmann::json() : ask_peer(o, folder, name);
  if (peer.is_object()) {
    std::vector<double> theirs = peer.at("stats");
    for (const double v : peer.at("categories")) theirs.push_back(v);
    MUSIC_CHECK(theirs.size() == best.numbers.size(), "[bench_coco] {} numbers, {} "
                "of the peer", best.numbers.size(), theirs.size());
    double worst = 0;
    for (std::size_t i = 0; i < theirs.size(); ++i)
      worst = std::max(worst, std::abs(theirs[i] - best.numbers[i]));
    MUSIC_CHECK(worst <= 1e-6, "[bench_coco] {} differs by {:.1e}", name, worst);
    fmt::print("{}: AP {:.4f}; {} numbers differ from pycocotools' by at most {:.0e}\n",
               name, best.numbers[0], theirs.size(), worst);
  }
  for (int round = 1; round < o.rounds; ++round)
    best.seconds = std::min(best.seconds, ours(folder, name).seconds);
  fmt::print("{}: ours {:.2f} s, {} threads, up to {:.0f} MiB\n", name, best.seconds,
             omp_get_max_threads(), peak);
  if (peer.is_object()) {
    const double seconds = peer.at("seconds");
    fmt::print("{}: pycocotools {} {:.2f} s, {:.0f} MiB; {:.1f} x\n", name,
               peer.at("version").get<std::string>(), seconds,
               peer.at("peak_mib").get<double>(), seconds / best.seconds);
  } else {
    fmt::print("{}: no pycocotools in \"{}\"\n", name, o.python);
  }
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  CLI::App app("Times the scoring of detections, beside pycocotools.");
  Options o;
  app.add_option("--images", o.images, "images")->check(CLI::Range(100, 1000000));
  app.add_option("--annotations", o.annotations, "annotations")
      ->check(CLI::PositiveNumber);
  app.add_option("--categories", o.categories, "categories")
      ->check(CLI::PositiveNumber);
  app.add_option("--detections", o.detections, "detections an image")
      ->check(CLI::PositiveNumber);
  app.add_option("--rounds", o.rounds, "of ours, of which the fastest counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "0: all that are allowed");
  app.add_option("--types", o.types, "bbox, segm")->delimiter(',')
      ->check(CLI::IsMember({"bbox", "segm"}));
  app.add_option("--python", o.python, "a Python with pycocotools; \"\" = skip");
  app.add_option("--peer-script", o.peer_script, "the same in Python");
  app.add_option("--keep", o.keep, "write the files into this folder and leave them");
  if (!parse(app, argc, argv)) return 0;
  omp_set_num_threads(dist::choose_threads(o.threads, 0).compute);
  std::string name = o.keep;
  if (name.empty()) {
    name = (std::filesystem::temp_directory_path() / "bench-coco-XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw error(ExitCode::kUsage, "[bench_coco] no temporary folder {}", name);
  }
  std::filesystem::create_directories(name);
  Maker(o, name).make();
  fmt::print("{} images, {} annotations, {} categories, {} detections\n", o.images,
             o.annotations, o.categories, o.images * o.detections);
  for (const std::string& type : o.types) bench(o, name, type);
  if (o.keep.empty()) std::filesystem::remove_all(name);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return music::run_main(argc, argv, run); }
