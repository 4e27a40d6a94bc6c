#pragma once
// The timeline of a data-parallel step, computed: operations one after the
// other, buckets of gradients beside them as GradientReducer starts them, the
// exchanges of nodes as these tell them (dist/timetable.h).
//
// The model: an exchange takes what interconnect.h says; those in the
// background are served one at a time, in order; blocking ones do not disturb
// them, and neither slows computing. All ranks are equally fast.

#include <cstdint>
#include <string>
#include <vector>

#include "dist/gradient_reducer.h"
#include "music/plan/interconnect.h"

namespace music {

// One collective of a step: what it is, its larger side in bytes
// (Collective::bytes()), whether the step waits for it at once.
struct PlannedCollective {
  dist::Collective::Kind kind;
  double bytes = 0;
  bool blocking = false;
};

struct StepModel {
  const Graph* graph = nullptr;
  std::vector<double> node_seconds;  // of each node, exchanges apart
  const dist::GradientReducer* reducer = nullptr;
  Interconnect net;
  Layout layout;
  double optimizer_seconds = 0;
  double input_seconds = 0;  // until the images of a step are there
};

struct StepPrediction {
  double seconds = 0;       // a step
  double compute = 0;       // operations
  double optimizer = 0;
  double exposed_norm = 0;  // waiting for batch norm's sums
  double exposed_loss = 0;  // for the loss's exchanges
  double exposed_gradients = 0;
  double waiting_for_input = 0;
  double background = 0;    // duration of what ran beside computing
  std::vector<PlannedCollective> collectives;  // in the order of their starts
  // One process with as many samples takes compute and optimiser.
  double efficiency() const { return (compute + optimizer) / seconds; }
};

StepPrediction predict(const StepModel& model);

}  // namespace music
