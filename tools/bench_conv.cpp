// bench_conv: every distinct convolution of a training step on a GPU, through
// the calls that training makes today and through cuDNN's graph API, plain and
// fused with the batch norm and ReLU around it. Microseconds; each line is
// printed as soon as it is known, and totals are sums over all layers.

#include "tools/bench_conv.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/cuda/random_fill.h"
#include "tools/bench_common.h"
#include "tools/cli.h"
#include "tools/encoder_cli.h"

namespace music {

ConvMemory::ConvMemory(std::size_t largest, DType dtype)
    : channels(
          static_cast<std::size_t>(kMostChannels * kVectors) * sizeof(float),
          Memory::kDevice) {
  for (Buffer* b : {&a, &this->b, &c, &d}) {
    *b = Buffer(largest, Memory::kDevice);
    cuda::random_fill(*b, dtype);
  }
  cuda::random_fill(channels, DType::kF32);
}

double time_on(const cuda::Stream& stream,
               const std::function<bool()>& enqueue) {
  constexpr int kWarmup = 2, kRounds = 3, kRuns = 5;
  for (int i = 0; i < kWarmup; ++i)
    if (!enqueue()) return -1;
  cuda::Event begin(true), end(true);
  double best = -1;
  for (int r = 0; r < kRounds; ++r) {
    begin.record(stream.get());
    for (int i = 0; i < kRuns; ++i)
      if (!enqueue()) return -1;
    end.record(stream.get());
    end.synchronize();
    const double us = 1e3 * cuda::Event::milliseconds(begin, end) / kRuns;
    if (best < 0 || us < best) best = us;
  }
  return best;
}

namespace {

using Clock = std::chrono::steady_clock;

struct Options : BenchNetwork {
  std::int64_t batch = 64;
  int plans = 8;
  double limit = 0;
  std::string device = "cuda", precision = "fp16";
  bool json = false;
};

// One of a step's convolutions, and how many layers are like it.
struct ConvCase {
  cuda::ConvolutionProblem problem;
  bool from_pixels = false;  // no gradient, and no batch norm, before it
  int layers = 0;

  std::string name() const {
    const auto& [x, w, y, spec, dtype] = problem;
    return fmt::format("{}x{} {}->{} {}x{}/{}", x[1], x[2], x[3], w[0], w[1],
                       w[2], spec.stride);
  }
  double flop() const {
    const auto& p = problem;
    return 2.0 * static_cast<double>(p.y.elements()) *
           static_cast<double>(p.w[1] * p.w[2] * p.w[3]);
  }
};

// From the graph of the step itself.
std::vector<ConvCase> convolutions_of(const Graph& graph) {
  std::vector<ConvCase> cases;
  std::map<std::array<std::int64_t, 12>, std::size_t> known;
  for (const Node& n : graph.nodes()) {
    if (n.op != "conv2d") continue;
    ConvCase c;
    auto& p = c.problem;
    p.x = graph.shape(n.inputs[0]), p.y = graph.shape(n.outputs[0]);
    p.w = graph.shape(n.inputs[1]);
    p.w = {p.w[0], p.w[1], p.w[2], p.x[3]};  // as the library takes it
    p.dtype = graph.info(n.inputs[0]).dtype;
    p.spec.pad = static_cast<int>(p.w[1] / 2);
    p.spec.stride = static_cast<int>(p.x[1] / p.y[1]);
    MUSIC_CHECK(
        (p.x[1] + 2 * p.spec.pad - p.w[1]) / p.spec.stride + 1 == p.y[1],
        "[bench_conv] {} of {} to {} is none that it knows", n.scope, p.x.str(),
        p.y.str());
    c.from_pixels = !graph.needs_gradient(n.inputs[0]);
    std::array<std::int64_t, 12> key{};
    std::size_t k = 0;
    for (const Shape* s : {&p.x, &p.w, &p.y})
      for (int i = 0; i < 4; ++i) key[k++] = (*s)[i];
    const auto [at, fresh] = known.emplace(key, cases.size());
    if (fresh) cases.push_back(c);
    ++cases[at->second].layers;
  }
  return cases;
}

// What is measured of a convolution, and where.
struct Column {
  const char* name;
  ConvWork work;
};
struct Group {
  const char* name;
  bool graph;  // through the graph API
  std::vector<Column> columns;
};
const std::vector<Column> kPlain = {{"forward", ConvWork::kForward},
                                    {"data", ConvWork::kBackwardData},
                                    {"weights", ConvWork::kBackwardWeights}};
const std::vector<Group> kGroups = {
    {"today", false, kPlain},
    {"graph", true, kPlain},
    {"fused",
     true,
     {{"forward+sums", ConvWork::kForwardSums},
      {"apply+forward+sums", ConvWork::kApplyForwardSums},
      {"data+relu+sums", ConvWork::kBackwardDataSums},
      {"apply+weights", ConvWork::kApplyBackwardWeights}}}};

// Batch norm and a gradient are behind feature maps, not behind pixels.
bool exists(const ConvCase& c, ConvWork work) {
  return !c.from_pixels || work == ConvWork::kForward ||
         work == ConvWork::kBackwardWeights || work == ConvWork::kForwardSums;
}

ConvFigure measure_today(const ConvCase& c, ConvWork work,
                         const ConvMemory& memory) {
  const auto pass = work == ConvWork::kForward ? cuda::ConvolutionPass::kForward
                    : work == ConvWork::kBackwardData
                        ? cuda::ConvolutionPass::kBackwardData
                        : cuda::ConvolutionPass::kBackwardWeights;
  const cuda::Convolution convolution(c.problem, pass);
  const Buffer workspace(convolution.workspace_bytes(), Memory::kDevice);
  ConvFigure figure;
  figure.us = time_on(memory.stream, [&] {
    convolution.run(memory.a.data(), memory.b.data(), memory.c.data(),
                    workspace.data(), memory.stream.get());
    return true;
  });
  figure.plan = fmt::format("{} KiB of workspace", workspace.bytes() >> 10);
  figure.timed = figure.plans = 1;
  return figure;
}

class Bench {
 public:
  Bench(const Options& o, std::vector<ConvCase> cases)
      : options_(o), cases_(std::move(cases)) {
    std::size_t largest = 0;
    for (const ConvCase& c : cases_) {
      MUSIC_CHECK(
          std::max(c.problem.x[3], c.problem.y[3]) <= ConvMemory::kMostChannels,
          "[bench_conv] {}: at most {} channels", c.name(),
          ConvMemory::kMostChannels);
      for (const Shape* s : {&c.problem.x, &c.problem.w, &c.problem.y})
        largest = std::max(largest, static_cast<std::size_t>(s->elements()) *
                                        size_of(c.problem.dtype));
    }
    memory_ = std::make_unique<ConvMemory>(largest, cases_[0].problem.dtype);
    if (ConvGraphs::why_not().empty())
      graphs_ = std::make_unique<ConvGraphs>(*memory_);
    for (const Group& g : kGroups)
      if (graphs_ || !g.graph) left_ += cases_.size() * g.columns.size();
    result_ = {{"device", cuda::device_info().name},
               {"precision", o.precision},
               {"images", cases_[0].problem.x[0]},
               {"plans_timed", o.plans},
               {"rows", nlohmann::json::array()},
               {"total_ms", nlohmann::json::object()}};
  }

  void run() {
    for (const Group& g : kGroups) {
      if (g.graph && !graphs_) {
        fmt::print("{}: left out, {}\n", g.name, ConvGraphs::why_not());
        continue;
      }
      run(g);
      if (options_.json) fmt::print("{}\n", result_.dump());
      std::fflush(stdout);
    }
  }

 private:
  double seconds_left() const {
    if (options_.limit <= 0) return 1e9;
    const std::chrono::duration<double> since = Clock::now() - begin_;
    return options_.limit - since.count();
  }

  ConvFigure measure(const Group& g, const ConvCase& c, ConvWork work) {
    // Each has its share of the time; what one leaves the next ones have.
    const double share =
        std::max(0.3, 2 * seconds_left() / static_cast<double>(left_));
    try {
      return g.graph ? graphs_->measure(c.problem, work, options_.plans, share)
                     : measure_today(c, work, *memory_);
    } catch (const std::exception& e) {  // the next one may be had
      return {.plan = e.what()};
    }
  }

  void run(const Group& g) {
    std::vector<double> total(g.columns.size());
    std::vector<int> known(g.columns.size()), wanted(g.columns.size());
    std::size_t measured = 0;
    for (const ConvCase& c : cases_) {
      if (seconds_left() <= 0) break;
      ++measured;
      std::string row =
          fmt::format("{:<6} {:<24} x{:<2}", g.name, c.name(), c.layers);
      std::string plans;
      for (std::size_t i = 0; i < g.columns.size(); ++i, --left_) {
        const Column& column = g.columns[i];
        if (!exists(c, column.work)) continue;
        const ConvFigure f = measure(g, c, column.work);
        wanted[i] += c.layers;
        if (f.us >= 0) known[i] += c.layers;
        total[i] += std::max(0.0, f.us) * c.layers / 1e3;
        row += f.us < 0
                   ? fmt::format("  {} -", column.name)
                   : fmt::format("  {} {:.1f} us ({:.0f} TFLOP/s)", column.name,
                                 f.us, c.flop() / f.us * 1e-6);
        if (g.graph || f.us < 0)
          plans += fmt::format("         {}: {} ({} of {} plans timed)\n",
                               column.name, f.plan, f.timed, f.plans);
        result_["rows"].push_back(
            {{"group", g.name},
             {"convolution", c.name()},
             {"layers", c.layers},
             {"work", column.name},
             {"us", f.us < 0 ? nlohmann::json() : nlohmann::json(f.us)},
             {"plan", f.plan},
             {"timed", f.timed},
             {"plans", f.plans}});
      }
      fmt::print("{}\n{}", row, plans);
      std::fflush(stdout);
    }
    if (measured < cases_.size())
      fmt::print("{}: out of time after {} of {} convolutions\n", g.name,
                 measured, cases_.size());
    std::string line = fmt::format("{:<6} total", g.name);
    for (std::size_t i = 0; i < g.columns.size(); ++i) {
      line += fmt::format("  {} {:.2f} ms", g.columns[i].name, total[i]);
      if (known[i] < wanted[i] || measured < cases_.size())
        line += fmt::format(" ({} layers)", known[i]);
      result_["total_ms"][g.name][g.columns[i].name] = {{"ms", total[i]},
                                                        {"layers", known[i]}};
    }
    fmt::print("{}\n", line);
  }

  const Options& options_;
  std::vector<ConvCase> cases_;
  std::unique_ptr<ConvMemory> memory_;
  std::unique_ptr<ConvGraphs> graphs_;
  std::size_t left_ = 0;  // measurements
  Clock::time_point begin_ = Clock::now();
  nlohmann::json result_;
};

int bench_main(int argc, char** argv) {
  CLI::App app("Times a network's convolutions, plain and fused.");
  Options o;
  o.add_to(app);
  app.add_option("--batch", o.batch,
                 "samples; a step sees twice as many images")
      ->check(CLI::PositiveNumber);
  app.add_option("--precision", o.precision, "fp16, bf16 or fp32")
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}));
  app.add_option("--plans", o.plans, "timed of each graph, at most")
      ->check(CLI::Range(1, 1000));
  app.add_option("--limit", o.limit,
                 "seconds; what no longer fits is left out "
                 "and said so (default: none)")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--json", o.json,
               "print a line of JSON with all figures so far "
               "after each group");
  if (!parse(app, argc, argv)) return 0;
  const Compute compute = choose_compute(o.device, o.precision);
  const Model model(o.model(), ParameterStorage{.training = true,
                                                .device = compute.device,
                                                .compute = compute.dtype});
  const TrainingStepSpec spec = o.step();
  const StepGraph step =
      model.step_graph(o.batch, spec);
  Bench bench(o, convolutions_of(step.graph));
  fmt::print("{}, resnet{} {}x{}, {} images\n", describe(compute), o.depth,
             o.size, o.size, 2 * o.batch);
  bench.run();
  return 0;
}

}  // namespace
}  // namespace music

int main(int argc, char** argv) {
  return music::run_main(argc, argv, music::bench_main);
}
