#include "music/formats/onnx_graph.h"

#include <fmt/format.h>

#include <algorithm>

namespace music {
namespace {

void set_type(onnx::ValueInfoProto& info, const std::string& name,
              const std::vector<std::int64_t>& dims,
              onnx::TensorProto_DataType type) {
  info.set_name(name);
  auto* tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape()->add_dim()->set_dim_param("n");
  for (const std::int64_t d : dims)
    tensor->mutable_shape()->add_dim()->set_dim_value(d);
}

}  // namespace

void OnnxGraph::input(const std::string& name,
                      const std::vector<std::int64_t>& dims) {
  set_type(*graph_.add_input(), name, dims, onnx::TensorProto::FLOAT);
}

void OnnxGraph::output(const std::string& name,
                       const std::vector<std::int64_t>& dims, bool integers) {
  set_type(*graph_.add_output(), name, dims,
           integers ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
}

void OnnxGraph::add(const std::string& name, const NamedTensor& tensor) {
  auto* t = graph_.add_initializer();
  t->set_name(name);
  t->set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t d : tensor.shape) t->add_dims(d);
  t->set_raw_data(tensor.values.data(), tensor.values.size() * sizeof(float));
  names_.insert(name);
}

void OnnxGraph::constant(const std::string& name,
                         const std::vector<std::int64_t>& values) {
  auto* t = graph_.add_initializer();
  t->set_name(name);
  t->set_data_type(onnx::TensorProto::INT64);
  t->add_dims(static_cast<std::int64_t>(values.size()));
  t->set_raw_data(values.data(), values.size() * sizeof(std::int64_t));
  names_.insert(name);
}

int OnnxGraph::rank(const std::string& name) const {
  for (const auto& t : graph_.initializer())
    if (t.name() == name) return t.dims_size();
  return -1;
}

std::string OnnxGraph::node(const char* op,
                            const std::vector<std::string>& inputs,
                            const std::string& output) {
  auto* n = graph_.add_node();
  n->set_op_type(op);
  n->set_name(fmt::format("{}_{}", op, graph_.node_size()));
  for (const std::string& in : inputs) n->add_input(in);
  n->add_output(output.empty() ? n->name() : output);
  return n->output(0);
}

void OnnxGraph::attribute(const char* name, std::int64_t value) {
  auto* a = last()->add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INT);
  a->set_i(value);
}

void OnnxGraph::attribute(const char* name,
                          const std::vector<std::int64_t>& values) {
  auto* a = last()->add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t v : values) a->add_ints(v);
}

std::string OnnxGraph::conv(const std::string& x, const std::string& layer,
                            int stride, int pad) {
  const std::string y = node("Conv", {x, layer + ".weight"});
  attribute("strides", {stride, stride});
  attribute("pads", {pad, pad, pad, pad});
  return y;
}

std::string OnnxGraph::fill(const std::string& name, std::int64_t count,
                            float value) {
  if (!has(name))
    add(name, {name, {count},
               std::vector<float>(static_cast<std::size_t>(count), value)});
  return name;
}

std::string OnnxGraph::batch_norm(const std::string& x,
                                  const std::string& layer,
                                  const std::string& output) {
  std::int64_t channels = 0;
  for (const auto& t : graph_.initializer())
    if (t.name() == layer + ".running_mean") channels = t.dims(0);
  const std::string y =
      node("BatchNormalization",
           {x, fill(layer + ".weight", channels, 1),
            fill(layer + ".bias", channels, 0), layer + ".running_mean",
            layer + ".running_var"}, output);
  auto* a = last()->add_attribute();
  a->set_name("epsilon");
  a->set_type(onnx::AttributeProto::FLOAT);
  a->set_f(1e-5f);
  return y;
}

std::string OnnxGraph::linear(const std::string& x, const std::string& layer,
                              const std::string& output) {
  std::vector<std::string> inputs{x, layer + ".weight"};
  if (has(layer + ".bias")) inputs.push_back(layer + ".bias");
  const std::string y = node("Gemm", inputs, output);
  attribute("transB", 1);
  return y;
}

std::string OnnxGraph::max_pool(const std::string& x, int size, int stride,
                                int pad) {
  const std::string y = node("MaxPool", {x});
  attribute("kernel_shape", {size, size});
  attribute("strides", {stride, stride});
  attribute("pads", {pad, pad, pad, pad});
  return y;
}

std::string OnnxGraph::normalise(const std::string& x,
                                 const std::array<float, 3>& mean,
                                 const std::array<float, 3>& std) {
  NamedTensor centre{"", {1, 3, 1, 1}, {}}, scale = centre;
  for (std::size_t c = 0; c < 3; ++c) {
    centre.values.push_back(255 * mean[c]);
    scale.values.push_back(255 * std[c]);
  }
  add("pixel_mean", centre);
  add("pixel_std", scale);
  return node("Div", {node("Sub", {x, "pixel_mean"}), "pixel_std"});
}

std::string OnnxGraph::arg_max(const std::string& x, int axis, bool keep,
                               const std::string& output) {
  const std::string y = node("ArgMax", {x}, output);
  attribute("axis", axis);
  attribute("keepdims", keep ? 1 : 0);
  return y;
}

std::vector<std::string> OnnxGraph::split(
    const std::string& x, const std::vector<std::int64_t>& widths) {
  constant("segment_widths", widths);
  node("Split", {x, "segment_widths"});
  attribute("axis", 1);
  auto* n = last();
  n->clear_output();
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    parts.push_back(fmt::format("segment_{}", i));
    n->add_output(parts.back());
  }
  return parts;
}

std::string OnnxGraph::concat(const std::vector<std::string>& parts, int axis,
                              const std::string& output) {
  const std::string y = node("Concat", parts, output);
  attribute("axis", axis);
  return y;
}

}  // namespace music
