// music_coco_eval: scores detections as COCO does: boxes or masks, twelve
// numbers and the AP of each category.

#include <omp.h>

#include <chrono>

#include "data/written_name.h"
#include "dist/threads.h"
#include "engine/core/log.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "music/eval/coco/summary.h"
#include "tools/cli.h"
#include "tools/score_report.h"

namespace {

using namespace music;

struct Options {
  std::string truth, results, iou = "bbox", out, run;
  bool pycocotools = false, categories = false, json = false;
  int threads = 0;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("--gt", o.truth, "ground truth: a COCO instances.json")
      ->required();
  app.add_option("--results", o.results,
                 "detections: a COCO results.json, a list of records")
      ->required();
  app.add_option("--iou", o.iou, "what is compared: bbox (boxes) or segm (masks)")
      ->check(CLI::IsMember({"bbox", "segm"}));
  app.add_flag("--categories", o.categories, "print the AP of each category too");
  app.add_flag("--pycocotools", o.pycocotools,
               "also where pycocotools 2.0.11 is wrong: an annotation with the id 0 "
               "is never matched, and a mask with a box beside it has its area");
  app.add_flag("--json", o.json, "print one JSON object");
  app.add_option("--out", o.out, "write the JSON object to this file");
  app.add_option("--run", o.run, "write it into this run's eval/");
  app.add_option("--threads", o.threads, "compute threads; 0: all that are allowed")
      ->check(CLI::NonNegativeNumber);
}

void add_notes(const coco::GroundTruth& truth, const coco::Results& results,
               const coco::Evaluation& evaluation, const Options& o,
               std::vector<std::string>& notes) {
  for (const coco::Annotation& a : truth.annotations)
    if (a.id == 0)
      notes.push_back(
          o.pycocotools
              ? "the annotation with the id 0 is never matched, as in pycocotools"
              : "an annotation has the id 0: it is matched like any other, while "
                "pycocotools never matches it and reports less (--pycocotools)");
  if (results.boxes_beside_masks)
    notes.push_back(
        o.pycocotools
            ? "masks with a box beside them have its area, as in pycocotools"
            : "the results have boxes beside masks: the area of a detection is its "
              "mask's, while pycocotools takes the box's (--pycocotools)");
  if (results.detections.empty()) notes.push_back("there are no detections");
  if (evaluation.beyond_limit > 0)
    notes.push_back(fmt::format(
        "{} detections past the 100 best of their image and category do not count",
        evaluation.beyond_limit));
}

ScoreRecord make_record(const coco::GroundTruth& truth,
                        const coco::Results& results,
                        const coco::Evaluation& evaluation, const Options& o) {
  ScoreRecord r;
  r.program = "music_coco_eval";
  r.protocol = "coco." + o.iou;
  r.settings = {{"thresholds", "0.50:0.05:0.95"},
                {"recalls", coco::kRecalls},
                {"detections", coco::kDetectionLimits},
                {"as", o.pycocotools ? "pycocotools 2.0.11" : "COCO"}};
  std::int64_t crowds = 0;
  for (const coco::Annotation& a : truth.annotations) crowds += a.crowd;
  r.data = {{"ground_truth",
             {{"path", o.truth}, {"images", truth.images.size()},
              {"annotations", truth.annotations.size()}, {"crowds", crowds},
              {"categories", truth.categories.size()},
              {"fingerprint", truth.file.xxh3_128}}},
            {"results",
             {{"path", o.results}, {"detections", results.detections.size()},
              {"fingerprint", results.file.xxh3_128}}}};
  const auto numbers = coco::summarise(evaluation);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    r.scores.push_back({.name = coco::kMetrics[i].name, .values = {numbers[i]},
                        .unit = "fraction"});
  const auto by_category = coco::category_precision(evaluation);
  for (std::size_t k = 0; k < by_category.size(); ++k)
    r.scores.push_back({.name = "AP " + truth.categories[k].name,
                        .values = {by_category[k]}, .unit = "fraction"});
  add_notes(truth, results, evaluation, o, r.notes);
  r.compute = fmt::format("CPU, {} threads", omp_get_max_threads());
  return r;
}

void print_text(const coco::GroundTruth& truth,
                const coco::Evaluation& evaluation, const ScoreRecord& record,
                const Options& o) {
  const auto& data = record.data;
  fmt::print("{}: {} images, {} annotations, {} categories; {} detections\n",
             o.iou, data["ground_truth"]["images"].dump(),
             data["ground_truth"]["annotations"].dump(),
             truth.categories.size(), data["results"]["detections"].dump());
  fmt::print("{}", coco::summary_text(coco::summarise(evaluation)));
  if (o.categories) {
    const auto values = coco::category_precision(evaluation);
    for (std::size_t k = 0; k < values.size(); ++k)
      fmt::print(" AP {:.3f}  {:>6} annotations  {}\n", values[k],
                 evaluation.positives[k * coco::kAreas],
                 one_line(truth.categories[k].name));
  }
  for (const std::string& note : record.notes) fmt::print("note: {}\n", note);
}

int coco_eval_main(int argc, char** argv) {
  CLI::App app("Scores detections against COCO ground truth.");
  Options o;
  add_options(app, o);
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");
  data::require_extension("--out", o.out, "JSON", {"json", "jsonl", "txt"});
  if (!o.run.empty() && !std::filesystem::is_directory(o.run))
    throw error(ExitCode::kUsage, "[cli] --run {} is not a folder",
                one_line(o.run));
  omp_set_num_threads(dist::choose_threads(o.threads, 0).compute);
  const auto start = std::chrono::steady_clock::now();
  const auto type = o.iou == "bbox" ? coco::IouType::kBox : coco::IouType::kMask;
  const auto truth = coco::load_ground_truth(o.truth, type);
  const auto results =
      coco::load_results(o.results, truth, {type, o.pycocotools});
  const auto evaluation =
      coco::evaluate(truth, results, type, o.pycocotools);
  ScoreRecord record = make_record(truth, results, evaluation, o);
  record.seconds = std::chrono::duration<double>(
                       std::chrono::steady_clock::now() - start)
                       .count();
  const std::string json =
      to_json(record).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (!o.run.empty()) write_record(record, o.run);
  if (!o.out.empty()) {
    FileWriter file(o.out);
    file.write(json);
    file.commit();
  }
  if (o.json) fmt::print("{}", json);
  else print_text(truth, evaluation, record, o);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, coco_eval_main);
}
