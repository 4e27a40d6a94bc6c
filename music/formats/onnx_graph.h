#pragma once
// Nodes of an ONNX graph, one call each. Only for onnx_*.cpp: a header of
// ours with another project's types.

#include <onnx/onnx_pb.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "music/model/weight_checks.h"

namespace music {

// A node's output is named after its operator and number, unless told.
class OnnxGraph {
 public:
  explicit OnnxGraph(onnx::GraphProto& graph) : graph_(graph) {
    graph_.set_name("encoder");
  }

  // Dimensions behind the first, which is "n".
  void input(const std::string& name, const std::vector<std::int64_t>& dims);
  void output(const std::string& name, const std::vector<std::int64_t>& dims,
              bool integers);

  void add(const std::string& name, const NamedTensor& tensor);  // a weight
  void constant(const std::string& name,
                const std::vector<std::int64_t>& values);
  bool has(const std::string& name) const { return names_.count(name) > 0; }
  int rank(const std::string& name) const;  // of a weight; -1: there is none

  std::string node(const char* op, const std::vector<std::string>& inputs,
                   const std::string& output = "");
  // Weights by the names of their layer: conv.weight, bn.running_mean, ...
  std::string conv(const std::string& x, const std::string& layer, int stride,
                   int pad);
  std::string batch_norm(const std::string& x, const std::string& layer,
                         const std::string& output = "");
  std::string linear(const std::string& x, const std::string& layer,
                     const std::string& output);
  std::string max_pool(const std::string& x, int size, int stride, int pad);
  // (x / 255 - mean) / std by channel.
  std::string normalise(const std::string& x, const std::array<float, 3>& mean,
                        const std::array<float, 3>& std);
  std::string arg_max(const std::string& x, int axis, bool keep,
                      const std::string& output);
  std::vector<std::string> split(const std::string& x,
                                 const std::vector<std::int64_t>& widths);
  std::string concat(const std::vector<std::string>& parts, int axis,
                     const std::string& output);

 private:
  onnx::NodeProto* last() {
    return graph_.mutable_node(graph_.node_size() - 1);
  }
  void attribute(const char* name, std::int64_t value);
  void attribute(const char* name, const std::vector<std::int64_t>& values);
  // Of ones or zeros, for a batch norm without scale or shift.
  std::string fill(const std::string& name, std::int64_t count, float value);

  onnx::GraphProto& graph_;
  std::set<std::string> names_;
};

}  // namespace music
