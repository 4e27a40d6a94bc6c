#include "music/plan/step_model.h"

#include <algorithm>

#include "dist/timetable.h"

namespace music {
namespace {

using Kind = dist::Collective::Kind;
using dist::Ticket;

// The training thread's clock, and that of the background exchanges.
class Simulation final : public dist::Timetable {
 public:
  explicit Simulation(const StepModel& m) : m_(m) {}
  StepPrediction run();

  void charge(Account account) override {
    exposed_ = account == Account::kNorm ? &p_.exposed_norm : &p_.exposed_loss;
  }
  void compute(double part, double whole) override {
    const double seconds = node_seconds_ * part / whole;
    now_ += seconds;
    p_.compute += seconds;
  }
  Ticket start(Kind kind, double bytes) override {
    const double t = seconds(m_.net, m_.layout, kind, bytes);
    p_.collectives.push_back({kind, bytes, false});
    p_.background += t;
    free_ = std::max(now_, free_) + t;
    done_.push_back(free_);
    return {done_.size()};
  }
  void wait(Ticket ticket) override {
    if (ticket.number > 0) wait_until(done_[ticket.number - 1]);
  }
  void run(Kind kind, double bytes) override {
    const double t = seconds(m_.net, m_.layout, kind, bytes);
    p_.collectives.push_back({kind, bytes, true});
    now_ += t;
    *exposed_ += t;
  }

 private:
  void wait_until(double done) {
    *exposed_ += std::max(0.0, done - now_);
    now_ = std::max(now_, done);
  }

  const StepModel& m_;
  StepPrediction p_;
  double now_ = 0, free_ = 0;
  std::vector<double> done_;  // of each ticket
  double node_seconds_ = 0;   // of the node that tells its exchanges
  double* exposed_ = nullptr;
};

StepPrediction Simulation::run() {
  const Graph& graph = *m_.graph;
  const auto schedule = m_.reducer->schedule(graph);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    const Node& node = graph.nodes()[n];
    node_seconds_ = m_.node_seconds[n];
    charge(Account::kLoss);
    if (node.exchanges) node.exchanges(*this);
    else compute(1, 1);
    if (m_.layout.ranks() == 1) continue;
    for (const std::size_t b : schedule.after(n)) {
      const auto& bucket = m_.reducer->buckets()[b];
      start(Kind::kAllReduce, static_cast<double>(bucket.end - bucket.begin) *
                                  sizeof(float));
    }
  }
  exposed_ = &p_.exposed_gradients;
  wait_until(free_);
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
