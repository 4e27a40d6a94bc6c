#pragma once
// The seam between the trainer and an objective. A method owns no tensor, file
// or stream: its state is Parameters (heads, queues, prototypes), its work is
// nodes of the step's graph, its numbers are readings. What it says here is all
// that the trainer, its files, its plans and its programs know of it.
//
// A step is: inputs, embed(), objective(), backward, finish(). Work sample by
// sample stands in embed(), work across samples in objective(): the rows
// between them are all that a batch in several passes has to keep.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/optim/update_state.h"
#include "layers/resnet.h"
#include "music/loss/shared_batch.h"

namespace music {

// What a method asks of the batch.
struct Needs {
  int views = 2;        // augmented views of each sample
  bool labels = false;
  bool projector = true;
  // The last batch of an epoch is left out where it is short.
  bool full_batches = false;
};

// What heads are made for.
struct HeadSizes {
  std::int64_t features = 0;             // of the encoder
  std::vector<std::int64_t> projector;   // output widths of its layers
  std::int64_t samples = 0;   // of a full batch, over all processes
  std::int64_t classes = 0;   // of the labels; 0 = none
};

// One batch in the graph; samples of this process, view 1 first.
struct Inputs {
  Value images;  // [views * n, size, size, channels], normalised
  Value labels;  // i32 [n], or invalid
  SharedBatch batch;
  int phase = 0;  // Method::phase()
};

// A value that is on the host after a step.
struct Reading {
  std::string name;
  Value value;
};

struct Objective {
  // [1] F32, differentiated: this process's share. Gradients, summed over the
  // processes, are those of the whole batch's loss.
  Value loss;
  // [1] F32: the loss of the whole batch, the same for all processes. A step
  // whose total is not finite changes nothing.
  Value total;
  std::vector<Reading> readings;
};

// The readings of a step in host memory, valid until the next one.
class Readings {
 public:
  void add(std::string name, const Tensor& tensor) {
    tensors_.emplace_back(std::move(name), tensor);
  }
  // Throws when there is none of that name.
  const Tensor& at(const std::string& name) const {
    for (const auto& [n, t] : tensors_)
      if (n == name) return t;
    throw error(ExitCode::kInternal, "[method] no reading {}", name);
  }

 private:
  std::vector<std::pair<std::string, Tensor>> tensors_;
};

// A number of a step, under its names in metrics.jsonl and in TensorBoard
// ("": not there).
struct Gauge {
  std::string name, tag;
  std::variant<double, std::int64_t> value;
};

// A number on the progress line beside two that it can be compared with; NaN:
// there are none.
struct ProgressLine {
  std::string label;
  double now, start, best;
};

// How a step went, without labels.
struct Report {
  double loss = 0;
  std::vector<Gauge> gauges;
  std::vector<ProgressLine> lines;  // the loss first
  std::string verdict;              // in plain words; "": nothing to say
};

// Where a run is.
struct Position {
  std::int64_t step = 0, total_steps = 1, steps_per_epoch = 1;
  double peak_rate = 0;  // of the schedule
  double share = 1;      // of the peak, that the schedule says
};

class Method {
 public:
  virtual ~Method() = default;

  // Sample by sample: what objective() works on, [.. n, ..] each. May be
  // recorded several times, for parts of a batch.
  virtual std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                                   const Inputs& inputs,
                                   ForwardMode mode) const = 0;
  // Across the samples of the batch.
  virtual Objective objective(Graph& graph, std::span<const Value> embedded,
                              const Inputs& inputs) const = 0;
  // Recorded behind the gradients: what the next step finds (a queue).
  virtual void finish(Graph&, std::span<const Value>, const Inputs&) const {}

  // Learning rates of the groups and target momentum of a step. rate: what the
  // schedule says.
  virtual UpdateKnobs knobs(const Position&, double rate) const {
    UpdateKnobs knobs;
    knobs.set_rate(static_cast<float>(rate));
    return knobs;
  }
  // A method that changes its graph during a run has several; phase() says
  // which a step takes, objective() and finish() are recorded once for each.
  virtual int phases() const { return 1; }
  virtual int phase(const Position&) const { return 0; }

  // A method that classifies: logits F32 [n, classes] of each of its classifiers,
  // all in evaluation mode, and what tells these apart ("" for one alone).
  struct Classified {
    std::string name;
    Value logits;
  };
  virtual std::vector<Classified> classify(Graph&, const ResNet&,
                                           Value /*images*/) const {
    return {};
  }

  virtual Report report(const Readings& readings, double total,
                        std::int64_t samples) const = 0;
  // What stands before the first progress line, of its brackets; "": nothing.
  virtual std::string legend() const {
    return "[a, b] beside a value: a by chance, b at best";
  }
};

}  // namespace music
