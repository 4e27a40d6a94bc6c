// bench_scaling: two processes of one thread against one, the exchanges of a
// step, the step model of music_plan beside what was measured, and the memory
// of the loss by number of processes. Starts its processes itself, by mpirun.

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "dist/launch.h"
#include "music/plan/planned_step.h"
#include "tools/bench_scaling_roles.h"
#include "tools/cli.h"

namespace {

using namespace music;
using nlohmann::json;

struct Options {
  ScalingBench bench;
  int rounds = 5;
  double least = 0.9;
  std::string role, mpirun = "mpirun", self;
  bool as_json = false;
};

// What rank 0 of np processes of one thread printed.
json start(const Options& o, int np, const std::string& role,
           const std::string& more = "") {
  const ScalingBench& b = o.bench;
  const std::string command = fmt::format(
      "OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 "
      "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 "
      "OMPI_MCA_hwloc_base_binding_policy=none "
      "OMPI_MCA_btl_vader_single_copy_mechanism=none "
      "OMPI_MCA_mpi_yield_when_idle=1 "
      "{} -np {} {} --role {} --depth {} --width {} --stem {} --size {} "
      "--projector {} --segment {} --batch {} --steps {} --warmup {} {}",
      o.mpirun, np, o.self, role, b.depth, b.width, b.stem, b.size, b.projector,
      b.segment, b.batch, b.steps, b.warmup, more);
  std::FILE* pipe = popen(command.c_str(), "r");
  json result;
  std::string line;
  for (int ch; pipe && (ch = std::fgetc(pipe)) != EOF;) {
    if (ch != '\n') {
      line += static_cast<char>(ch);
      continue;
    }
    auto parsed = json::parse(line, nullptr, false);
    if (parsed.is_object()) result = std::move(parsed);
    line.clear();
  }
  if (!pipe || pclose(pipe) != 0 || !result.is_object())
    throw error(ExitCode::kUsage, "[bench] {} of {} processes failed: {}", role,
                np, command);
  return result;
}

// A bench checks before it times.
void check(const Options& o, json& result) {
  const json one = start(o, 1, "loss"), two = start(o, 2, "loss");
  for (const char* term : {"total", "de", "oe", "ti"}) {
    const double a = one[term], b = two[term];
    if (!(std::abs(a - b) <= 1e-5 * std::abs(a)))
      throw error(ExitCode::kNumerical,
                  "[bench] {} of two processes is {}, of one {}", term, b, a);
  }
  result["loss"] = {one["total"], two["total"]};
  if (!o.as_json)
    fmt::print("loss of one batch: {:.9f} by one process, {:.9f} by two\n",
               one["total"].get<double>(), two["total"].get<double>());
}

// In turns, so that other work on the machine meets all three.
struct Steps { double one, two, scaling; };  // milliseconds

Steps weak_scaling(const Options& o, json& result) {
  std::vector<double> one, two, apart, ratio, limit;
  for (int r = 0; r < o.rounds; ++r) {
    one.push_back(start(o, 1, "step")["ms"]);
    two.push_back(start(o, 2, "step")["ms"]);
    apart.push_back(start(o, 2, "apart")["ms"]);
    ratio.push_back(one.back() / two.back());
    limit.push_back(one.back() / apart.back());
  }
  const auto [low, high] = std::minmax_element(ratio.begin(), ratio.end());
  result["weak_scaling"] = {{"one_ms", one}, {"two_ms", two},
                            {"apart_ms", apart}, {"median", median(ratio)},
                            {"limit", median(limit)}};
  if (!o.as_json)
    fmt::print(
        "a step of {} samples a process, one thread each, median of {} rounds\n"
        "  one process                     {:9.2f} ms\n"
        "  two that share a batch          {:9.2f} ms   weak scaling {:.3f} "
        "({:.3f} to {:.3f}; at least {:.2f})\n"
        "  two that know nothing of each   {:9.2f} ms   {:.3f}: what this "
        "machine allows\n", o.bench.batch, o.rounds, median(one), median(two),
        median(ratio), *low, *high, o.least, median(apart), median(limit));
  return {median(one), median(two), median(ratio)};
}

// Latency from the smallest sum, bandwidth from the largest.
Interconnect exchanges(const Options& o, json& result) {
  const json rows = start(o, 2, "exchanges")["exchanges"];
  double small = 1e18, large = 0, t_small = 0, t_large = 0;
  for (const json& r : rows) {
    const double bytes = r["bytes"], ms = r["ms"];
    if (r["name"] != "all_reduce") continue;
    if (bytes < small) small = bytes, t_small = ms;
    if (bytes > large) large = bytes, t_large = ms;
  }
  const double rate = (large - small) / std::max(1e-9, t_large - t_small) / 1e6;
  const Interconnect net = Interconnect::fixed(t_small * 1e3, rate);
  if (!o.as_json)
    fmt::print("exchanges of a step of two processes, each alone; model: "
               "{:.1f} us + bytes / {:.2f} GB/s\n", t_small * 1e3, rate);
  double measured = 0, model = 0;
  for (const json& r : rows) {
    const double ms = r["ms"], bytes = r["bytes"];
    const double t =
        1e3 * seconds(net, {1, 2}, dist::Collective::Kind::kAllReduce, bytes);
    const int count = r["count"];
    measured += count * ms, model += count * t;
    if (!o.as_json)
      fmt::print("  {:<15}{:>10.0f} bytes {:>4} times {:9.4f} ms each, model "
                 "{:9.4f}\n", r["name"].get<std::string>(), bytes, count, ms,
                 t);
  }
  if (!o.as_json)
    fmt::print("  all of a step {:51.3f} ms, model {:9.3f}\n", measured, model);
  result["exchanges"] = {{"rows", rows}, {"latency_us", t_small * 1e3},
                         {"gb_per_s", rate}};
  return net;
}

double predicted(const Options& o, const Profile& profile, int np,
                 const Interconnect& net) {
  PlannedStep step(o.bench.model(), o.bench.step(), o.bench.batch * np, {},
                   {1, np});
  step.price(profile);
  step.model().net = net;
  return 1e3 * predict(step.model()).seconds;
}

Profile profile(const Options& o) {
  const json j = start(o, 1, "profile");
  Profile p;
  p.samples = j["samples"], p.optimizer_ms = j["optimizer_ms"];
  for (const json& n : j["nodes"]) p.nodes.push_back({n["op"], n["ms"]});
  return p;
}

Profile scaled(Profile p, double by) {
  p.optimizer_ms *= by;
  for (auto& n : p.nodes) n.milliseconds *= by;
  return p;
}

// The two halves of the model apart: a step of two from the profile of one, and
// what delays add to a step of two that is timed without them just before.
void model(const Options& o, const Steps& steps, const Interconnect& net,
           json& result) {
  const Interconnect none = Interconnect::fixed(0, 0);
  const Profile raw = profile(o);
  // A profile of the relations between operations; the sum is of the steps that
  // were timed in turns.
  const Profile one = scaled(raw, steps.one / predicted(o, raw, 1, none));
  const double base = steps.two, undelayed = predicted(o, one, 2, net);
  if (!o.as_json)
    fmt::print("step model of two processes        without  measured     model"
               "   error\n"
               "  from the profile of one  {:15} {:9.2f} {:9.2f}  {:+5.1f} %\n",
               "", base, undelayed, 100 * (undelayed / base - 1));
  result["model"] =
      json::array({{{"measured_ms", base}, {"model_ms", undelayed}}});
  constexpr struct { double us, gb; } kDelays[] = {
      {1000, 10}, {5000, 10}, {20000, 10}, {1000, 0.02}, {1000, 0.004}};
  for (const auto& d : kDelays) {
    const double before = start(o, 2, "step")["ms"];
    const Profile two = scaled(one, before / predicted(o, one, 2, none));
    const double t = start(o, 2, "delayed", fmt::format(
        "--latency-us {} --gb-per-s {}", d.us, d.gb))["ms"];
    const double m = predicted(o, two, 2, Interconnect::fixed(d.us, d.gb));
    result["model"].push_back({{"latency_us", d.us}, {"gb_per_s", d.gb},
                               {"without_ms", before}, {"measured_ms", t},
                               {"model_ms", m}});
    if (!o.as_json)
      fmt::print("  + {:5.0f} us and {:6.3f} GB/s {:14.2f} {:9.2f} {:9.2f}  "
                 "{:+5.1f} %\n", d.us, d.gb, before, t, m,
                 100 * (m / t - 1));
  }
}

void memory(const Options& o, json& result) {
  if (!o.as_json)
    fmt::print("the loss alone, N {} D {}: MiB of a process   workspace   "
               "peak\n", o.bench.loss_samples, o.bench.loss_units);
  for (int np = 1; np <= 4; ++np) {
    const json m = start(o, np, "memory");
    const double one = np == 1 ? m["loss"] : result["memory"][0]["loss"];
    if (!(std::abs(m["loss"].get<double>() - one) <= 1e-5 * std::abs(one)))
      throw error(ExitCode::kNumerical,
                  "[bench] the loss of {} processes is {}, of one {}", np,
                  m["loss"].get<double>(), one);
    result["memory"].push_back(m);
    const double workspace = m["workspace_mib"], peak = m["peak_mib"];
    if (!o.as_json)
      fmt::print("  {} {}{:>40.1f} {:>6.1f}\n", np,
                 np == 1 ? "process  " : "processes", workspace, peak);
  }
}

int bench_main(int argc, char** argv) {
  CLI::App app("Times training by two processes against one.");
  Options o;
  ScalingBench& b = o.bench;
  b.add_to(app);
  app.add_option("--batch", b.batch, "samples of a process")
      ->check(CLI::Range(2, 4096));
  app.add_option("--steps", b.steps, "timed steps (median)")
      ->check(CLI::Range(1, 1000));
  app.add_option("--warmup", b.warmup, "steps before")
      ->check(CLI::Range(0, 1000));
  app.add_option("--rounds", o.rounds,
                 "of one and two processes in turn (median)")
      ->check(CLI::Range(1, 100));
  app.add_option("--least", o.least, "weak scaling below it is a failure");
  app.add_option("--mpirun", o.mpirun, "the launcher");
  app.add_flag("--json", o.as_json, "print one JSON object");
  app.add_option("--latency-us", b.latency_us)->group("");
  app.add_option("--gb-per-s", b.gb_per_s)->group("");
  app.add_option("--role", o.role)->group("");
  if (!parse(app, argc, argv)) return 0;
  if (!o.role.empty()) {
    omp_set_num_threads(1);
    const auto communicator = dist::join();
    const std::string result = run_role(o.role, b, *communicator);
    if (communicator->rank() == 0) fmt::print("{}\n", result);
    std::fflush(stdout);
    return 0;
  }
  o.self = argv[0];
  json result;
  check(o, result);
  const Steps steps = weak_scaling(o, result);
  model(o, steps, exchanges(o, result), result);
  memory(o, result);
  if (o.as_json) fmt::print("{}\n", result.dump());
  if (steps.scaling >= o.least) return 0;
  throw error(ExitCode::kNumerical,
              "[bench] weak scaling {:.3f}, expected at least {:.2f}",
              steps.scaling, o.least);
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, bench_main);
}
