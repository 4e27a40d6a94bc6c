#include "music/plan/step_model.h"

#include <algorithm>

#include "engine/core/shard.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cpu/tile_slabs.h"

namespace music {
namespace {

using Kind = dist::Collective::Kind;

// The training thread's clock, and that of the background exchanges.
class Simulation {
 public:
  explicit Simulation(const StepModel& m) : m_(m) {}

  void compute(double seconds) {
    now_ += seconds;
    p_.compute += seconds;
  }
  void run(Kind kind, double bytes, double& exposed) {
    const double t = seconds(m_.net, m_.layout, kind, bytes);
    p_.collectives.push_back({kind, bytes, true});
    now_ += t;
    exposed += t;
  }
  // Returns when it will be done.
  double start(Kind kind, double bytes) {
    const double t = seconds(m_.net, m_.layout, kind, bytes);
    p_.collectives.push_back({kind, bytes, false});
    p_.background += t;
    return free_ = std::max(now_, free_) + t;
  }
  void wait(double done, double& exposed) {
    exposed += std::max(0.0, done - now_);
    now_ = std::max(now_, done);
  }

  void loss(double seconds);
  StepPrediction run();

 private:
  void slabs(double seconds);

  const StepModel& m_;
  StepPrediction p_;
  double now_ = 0, free_ = 0;
};

// As JointEntropy runs.
void Simulation::loss(double seconds) {
  const LossExchange& l = m_.loss;
  if (l.ranks == 1) return compute(seconds);
  const auto units = static_cast<double>(l.segments.units());
  if (l.spec.scope == LossScope::kLocal) {
    compute(seconds);
    run(Kind::kAllReduce, 3 * sizeof(double), p_.exposed_loss);
    run(Kind::kAllReduce, 2 * units * sizeof(float), p_.exposed_loss);
    return;
  }
  run(Kind::kAllReduce, l.sums * units * sizeof(double), p_.exposed_loss);
  if (l.segments.count() > 1) slabs(seconds);
  else compute(seconds);
  run(Kind::kAllReduce, 3 * sizeof(double), p_.exposed_loss);
}

// As TileSlabs runs: panels of q' go round while their neighbours are
// multiplied.
void Simulation::slabs(double seconds) {
  const LossExchange& l = m_.loss;
  const auto rank = static_cast<std::size_t>(l.rank);
  const auto slab = column_slabs(l.segments, l.ranks);
  const auto units = l.segments.units();
  const auto mine = shard_size(l.samples, l.rank, l.ranks);
  const auto codes =
      static_cast<double>(std::max(mine * units,
                                   l.samples * (slab[rank + 1] - slab[rank])));
  const auto panels = (units + l.panel - 1) / l.panel;
  const auto elements = [&](std::int64_t p) {
    return static_cast<double>(l.samples *
                               std::min(l.panel, units - p * l.panel));
  };
  double& exposed = p_.exposed_loss;
  const auto gather = [&](std::int64_t p) {
    return start(Kind::kAllGather, elements(p) * l.codes);
  };
  const double exchanged = start(Kind::kAllToAll, codes * l.codes);
  double gathered = gather(0);
  wait(exchanged, exposed);
  double reduced = 0;
  for (std::int64_t p = 0; p < panels; ++p) {
    const double next = p + 1 < panels ? gather(p + 1) : 0;
    wait(gathered, exposed);
    gathered = next;
    compute(seconds * elements(p) / static_cast<double>(l.samples * units));
    if (l.spec.oe == 0) continue;
    const double previous = reduced;
    reduced = start(Kind::kReduceScatter, elements(p) * sizeof(float));
    if (p > 0) wait(previous, exposed);
  }
  if (l.spec.oe == 0) return;
  wait(reduced, exposed);
  run(Kind::kAllToAll, codes * sizeof(float), exposed);
}

StepPrediction Simulation::run() {
  const Graph& graph = *m_.graph;
  const auto schedule = m_.reducer->schedule(graph);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    const Node& node = graph.nodes()[n];
    if (node.op == "sum_over_ranks") {
      const ValueInfo& v = graph.info(node.outputs[0]);
      run(Kind::kAllReduce,
          static_cast<double>(v.shape.elements()) *
              static_cast<double>(size_of(v.dtype)),
          p_.exposed_norm);
    } else if (node.op == "joint_entropy") {
      loss(m_.node_seconds[n]);
    } else {
      compute(m_.node_seconds[n]);
    }
    if (m_.layout.ranks() == 1) continue;
    for (const std::size_t b : schedule.after(n)) {
      const auto& bucket = m_.reducer->buckets()[b];
      start(Kind::kAllReduce, static_cast<double>(bucket.end - bucket.begin) *
                                  sizeof(float));
    }
  }
  wait(free_, p_.exposed_gradients);
  p_.optimizer = m_.optimizer_seconds;
  now_ += p_.optimizer;
  p_.waiting_for_input = std::max(0.0, m_.input_seconds - now_);
  p_.seconds = now_ + p_.waiting_for_input;
  return p_;
}

}  // namespace

StepPrediction predict(const StepModel& model) {
  MUSIC_CHECK(model.node_seconds.size() == model.graph->nodes().size(),
              "[plan] times of {} operations, expected {}",
              model.node_seconds.size(), model.graph->nodes().size());
  return Simulation(model).run();
}

}  // namespace music
