// bench_published: the step model of music_plan beside published scaling of
// ResNet-50 and of the paper's cluster. Nothing is measured here.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "dist/planned.h"
#include "engine/graph/autograd.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/image_normalize.h"
#include "layers/projector.h"
#include "music/plan/planned_step.h"
#include "tools/cli.h"

namespace {

using namespace music;

// Supervised ResNet-50 on 1000 classes, batch norm by process.
StepPrediction supervised(const std::string& gpu, const std::string& net,
                          const Layout& layout, std::int64_t batch) {
  const auto place = dist::make_planned_communicator(0, layout.ranks());
  Parameters p;
  const ResNet encoder(p, "backbone", {.depth = 50});
  const Projector classes(p, "fc", encoder.spec().features(), {1000});
  p.set_storage({.training = true, .device = Device::kCuda,
                 .compute = DType::kF16});
  Graph g(p);
  const Value pixels = g.input("pixels", {batch, 224, 224, 3}, DType::kU8);
  const Value labels = g.input("labels", {batch}, DType::kI32);
  const ForwardMode mode{.training = true, .groups = 1};
  const Value x = image_normalize(
      g, pixels, {{0.5f, 0.5f, 0.5f}, {0.2f, 0.2f, 0.2f}, 4, DType::kF16});
  const Value loss = cross_entropy(
      g, classes.forward(g, encoder.forward(g, x, mode), mode), labels);
  backward(g, loss, g.constant({1}, 1));
  const dist::GradientReducer reducer(*place, p);
  StepModel m;
  m.graph = &g;
  m.reducer = &reducer;
  m.layout = layout;
  m.net = interconnect(net);
  m.node_seconds = node_seconds(g, processor(gpu));
  m.optimizer_seconds = seconds(
      processor(gpu),
      {0, kOptimizerBytes * static_cast<double>(p.flat_elements())});
  return predict(m);
}

// Images a second on each GPU, as published: here, and where the efficiency is
// counted from.
struct Point {
  const char* what;
  const char *gpu, *net;
  Layout layout;
  std::int64_t batch;  // of a GPU
  double rate;
  Layout from;
  std::int64_t from_batch;
  double from_rate;
};

// NVIDIA DeepLearningExamples; MLPerf v0.7, v3.0, v4.0; Lambda.
constexpr Point kPoints[] = {
    {"MXNet, DGX-1", "v100", "v100-edr", {1, 8}, 256, 1340, {1, 1}, 256, 1376},
    {"MXNet, DGX-2", "v100", "v100-edr", {1, 8}, 256, 1421, {1, 1}, 256, 1492},
    {"MXNet, DGX-2", "v100", "v100-edr", {1, 16}, 256, 1343, {1, 1}, 256, 1492},
    {"PyTorch AMP", "v100", "v100-edr", {1, 8}, 256, 1007, {1, 1}, 256, 1156},
    {"MLPerf, 4 nodes of 4", "v100", "v100-edr", {4, 4}, 208, 0.99, {1, 4}, 208,
     1},
    {"MLPerf, 8 to 16", "a100", "a100-hdr", {2, 8}, 204, 0.94, {1, 8}, 408, 1},
    {"Lambda, PyTorch", "h100", "h100-ndr", {1, 8}, 256, 0.988, {1, 1}, 256, 1},
    {"MLPerf, 8 to 16", "h100", "h100-ndr", {2, 8}, 200, 0.88, {1, 8}, 400, 1},
    {"MLPerf, 8 to 64", "h100", "h100-ndr", {8, 8}, 50, 4910, {1, 8}, 400,
     7161},
    {"MLPerf, 8 to 3584", "h100", "h100-ndr", {448, 8}, 16, 0.39, {1, 8}, 400,
     1},
};

int bench_main(int argc, char** argv) {
  CLI::App app("The step model of music_plan beside published scaling.");
  bool json = false;
  app.add_flag("--json", json, "print one JSON object");
  if (!parse(app, argc, argv)) return 0;
  nlohmann::json rows = nlohmann::json::array();
  if (!json)
    fmt::print("efficiency a GPU            GPUs  batch  from  published  model"
               "  error\n");
  int within = 0;
  for (const Point& p : kPoints) {
    const auto rate = [&](const Layout& layout, std::int64_t batch) {
      return static_cast<double>(batch) /
             supervised(p.gpu, p.net, layout, batch).seconds;
    };
    const double published = p.rate / p.from_rate;
    const double model = rate(p.layout, p.batch) / rate(p.from, p.from_batch);
    const double error = model / published - 1;
    within += std::abs(error) <= 0.1;
    rows.push_back({{"what", p.what}, {"gpu", p.gpu},
                    {"gpus", p.layout.ranks()}, {"published", published},
                    {"model", model}});
    if (!json)
      fmt::print("{:<5} {:<22}{:>4}  {:>5}  {:>4}  {:>7.1f} %  {:>5.1f} %  "
                 "{:>+5.1f} %\n", p.gpu, p.what, p.layout.ranks(), p.batch,
                 p.from.ranks(), 100 * published, 100 * model, 100 * error);
  }
  // The rates themselves, best published kernels.
  constexpr struct {
    const char* gpu;
    std::int64_t batch;
    double rate;
  } kBest[] = {{"v100", 208, 1398},
               {"a100", 408, 3575},
               {"h100", 400, 7161},
               {"h200", 400, 7950}};
  if (!json) fmt::print("images/s of one GPU  published     model (this "
                        "engine's passes)\n");
  for (const auto& b : kBest) {
    const double model = static_cast<double>(b.batch) /
                         supervised(b.gpu, "ideal", {1, 1}, b.batch).seconds;
    rows.push_back({{"gpu", b.gpu}, {"published_rate", b.rate},
                    {"model_rate", model}});
    if (!json)
      fmt::print("{:<18}{:>10.0f}{:>10.0f}   {:+.1f} %\n", b.gpu, b.rate, model,
                 100 * (model / b.rate - 1));
  }
  // ResNet-50, 8192-8160, N 2048 on 32 V100: 490 ms a step in the paper.
  TrainingStepSpec spec;
  PlannedStep cluster({{.depth = 50}, {8192, 8160}}, spec, 2048,
                      {Device::kCuda, DType::kF16}, {4, 8});
  cluster.price(processor("v100"));
  cluster.model().net = interconnect("v100-edr");
  const StepPrediction s = predict(cluster.model());
  rows.push_back({{"what", "the paper's cluster"}, {"step_ms", s.seconds * 1e3},
                  {"efficiency", s.efficiency()}});
  if (json) {
    fmt::print("{}\n", rows.dump());
  } else {
    fmt::print("{} of {} efficiencies within 10 %\n", within,
               std::size(kPoints));
    fmt::print("the paper's cluster, 2048 samples on 4 nodes of 8 V100: {:.1f} "
               "ms a step, efficiency {:.1f} % (paper: 490 ms)\n",
               s.seconds * 1e3, 100 * s.efficiency());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, bench_main);
}
