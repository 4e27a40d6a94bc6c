#pragma once
// What several methods are made of.

#include <string>

#include "layers/projector.h"
#include "music/method/method.h"

namespace music {

// A method that is an objective on what one projector makes of every view.
class ProjectedMethod : public Method {
 public:
  std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                           const Inputs& inputs,
                           ForwardMode mode) const override;

 protected:
  ProjectedMethod(Parameters& parameters, const HeadSizes& sizes,
                  const HeadSpec& head);

  Projector projector_;
};

// An objective whose `share`, [1], is a sum over this process's samples.
Objective sum_of_shares(Graph& graph, Value share, const SharedBatch& batch,
                        std::vector<Reading> readings = {});

// x [F32], summed over the processes: a reading.
Value over_processes(Graph& graph, Value x, const SharedBatch& batch);

// Puts the parameters whose names begin with `prefix` in a group.
void put_in_group(Parameters& parameters, const std::string& prefix, int group);

// Of what losses over pairs of units multiply: 16 bits where activations are,
// fp16 in either case, since numbers near 1 need digits, not range.
DType code_type(const Graph& graph);

// factor * x
Value times(Graph& graph, Value x, double factor);

// Rows [m,D] of one view of this process -> those of all processes, in the order
// of the batch.
Value rows_of_batch(Graph& graph, Value rows, const SharedBatch& batch);

// Rows of view 1 and view 2 of a [2n,D], the other way round.
Value swap_views(Graph& graph, Value x);

// The sum over the rows of cos(p_i, z_i); no gradient passes through z. [1]
Value cosines(Graph& graph, Value p, Value z);

// How widely unit rows spread, over all processes: "spread", f32 [D], standard
// deviations of the units of z's unit rows.
Reading spread_of(Graph& graph, Value z, const SharedBatch& batch);

double mean_of(const Tensor& reading);  // F32

// "healthy", or why not: a loss that is not finite, a collapse ("collapsed: "
// and how it shows), or a loss that is less than 1 % of the way from `nothing`,
// that of embeddings that say nothing, to `best` ("no signal: ").
std::string verdict_of(double total, bool collapsed, const std::string& how,
                       double nothing, double best);

// Reports of methods that compare directions. The spread is 1 where unit rows
// lie evenly on the sphere, 0 where they are all alike: collapsed.
Report spread_report(const Readings& readings, double total, double collapse,
                     double best, std::vector<Gauge> gauges = {});

}  // namespace music
