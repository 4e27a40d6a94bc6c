#pragma once
// The graphs of a step whose batch passes the network in parts, twice. First
// forward only, and the rows are kept; then the objective and its gradient with
// respect to the rows; then forward again, and backward from those gradients.
// Gradients are those of the step in one pass but for batch norm, whose
// statistics are those of a part (GradCache, arXiv 2101.06983).
//
// Made by Model (model.h).

#include <algorithm>
#include <vector>

#include "music/method/method.h"
#include "music/model/micro_batches.h"

namespace music {

// What embed() makes of a sample, of one of its values.
struct EmbeddedRows {
  std::int64_t views = 1;  // rows of a sample: [views * n, width], view 1 first
  std::int64_t width = 0;
  DType dtype = DType::kF32;
  bool differentiated = false;

  Shape shape(std::int64_t samples) const { return {views * samples, width}; }
  std::size_t bytes(std::int64_t samples) const {
    return static_cast<std::size_t>(shape(samples).elements()) * size_of(dtype);
  }
};

// A part of the batch, forward only; running statistics move.
struct EmbedGraph {
  Graph graph;
  Value pixels;                 // input, as StepGraph's
  std::vector<Value> embedded;  // kept
};

// The whole batch.
struct ObjectiveGraph {
  Graph graph;
  std::vector<Value> embedded;  // inputs
  Value labels;                 // input, or invalid
  Value loss_scale;             // input, f32 [1]
  Objective objective;          // total and readings are kept
  // Of `embedded`, kept; invalid: there is none.
  std::vector<Value> gradients;
  std::vector<bool> reached;    // parameters
  std::size_t backward_begin = 0;
};

// A part of the batch, forward and backward; running statistics stay.
struct EmbedBackwardGraph {
  Graph graph;
  Value pixels;                  // input
  std::vector<Value> gradients;  // inputs, where ObjectiveGraph has them
  std::size_t backward_begin = 0;

  // False where no gradient comes: the network does not learn.
  bool needed() const {
    return std::ranges::any_of(gradients, [](Value v) { return bool(v); });
  }
};

// Where what lives between the graphs lies in one block; bytes. The objective
// has an arena of its own: what it keeps outlives the second pass.
struct TwoPassLayout {
  std::size_t objective = 0;           // its arena
  std::size_t pixels = 0;              // of a part
  std::vector<std::size_t> rows;       // of the batch, by embedded value
  std::vector<std::size_t> gradients;  // of the rows of a part
  std::size_t bytes = 0;

  // arena: bytes of the objective's. sample_bytes: pixels of all its views.
  TwoPassLayout(const std::vector<EmbeddedRows>& rows,
                const ObjectiveGraph& towards, std::size_t arena,
                std::int64_t samples_here, std::int64_t part_here,
                std::size_t sample_bytes);
};

}  // namespace music
