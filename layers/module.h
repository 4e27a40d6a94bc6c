#pragma once
// What every layer shares: parameters are registered in the constructor under
// torchvision's names; forward() appends nodes and owns no data, so one module
// records any number of graphs (training, short batch, evaluation).

#include <string>

#include "dist/communicator.h"
#include "engine/graph/graph.h"

namespace music {

// How a graph is recorded.
struct ForwardMode {
  bool training = true;  // batch statistics, running statistics updated
  // The target network's weights; in training only, and running statistics,
  // which are the trained network's, stay.
  bool target = false;
  // False: running statistics stay, the second time that a batch passes.
  bool moves_statistics = true;
  // Evaluation only: convolutions take their batch norms' statistics into their
  // weights where that saves a pass. Equal to rounding; no gradient passes.
  bool fold = false;
  int groups = 1;        // statistics groups on the batch axis (2 = two views)
  // Groups are of this process alone, whatever communicator: samples and not
  // views. Running statistics are of all groups together, of all processes.
  bool own_groups = false;
  // Training with other processes: statistics are those of all their samples.
  dist::Communicator* communicator = nullptr;
};

// Parameter i of the network that the mode asks for. dtype: Graph::parameter.
inline Value weight(Graph& graph, int i, ForwardMode mode,
                    DType dtype = DType::kF32) {
  return mode.target ? graph.target(i, dtype) : graph.parameter(i, dtype);
}

// "backbone" + "conv1" -> "backbone.conv1"
inline std::string join_name(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace music
