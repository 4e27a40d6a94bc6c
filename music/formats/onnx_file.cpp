#include "music/formats/onnx_file.h"

#include <fmt/ranges.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <map>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "music/formats/onnx_graph.h"
#include "music/files/build_info.h"
#include "music/model/encoder_keys.h"

namespace music {
namespace {

constexpr std::size_t kMostBytes = 1'900'000'000;  // protobuf ends at 2 GiB

// The residual branch and its shortcut, torchvision's BasicBlock or Bottleneck.
std::string block(OnnxGraph& g, const std::string& x, const std::string& name,
                  bool bottleneck, int stride) {
  const auto conv_bn = [&](const std::string& in, int k, int s, int pad) {
    return g.batch_norm(g.conv(in, fmt::format("{}.conv{}", name, k), s, pad),
                        fmt::format("{}.bn{}", name, k));
  };
  std::string y = x;
  if (bottleneck) {
    y = g.node("Relu", {conv_bn(y, 1, 1, 0)});
    y = g.node("Relu", {conv_bn(y, 2, stride, 1)});
    y = conv_bn(y, 3, 1, 0);
  } else {
    y = g.node("Relu", {conv_bn(y, 1, stride, 1)});
    y = conv_bn(y, 2, 1, 1);
  }
  const std::string down = name + ".downsample.";
  const std::string shortcut =
      g.has(down + "0.weight")
          ? g.batch_norm(g.conv(x, down + "0", stride, 0), down + "1") : x;
  return g.node("Relu", {g.node("Add", {y, shortcut})});
}

std::string encoder(OnnxGraph& g, std::string x, const ResNetSpec& spec) {
  const bool cifar = spec.stem == Stem::kCifar;
  x = g.batch_norm(g.conv(x, "conv1", cifar ? 1 : 2, cifar ? 1 : 3), "bn1");
  x = g.node("Relu", {x});
  if (!cifar) x = g.max_pool(x, 3, 2, 1);
  for (int layer = 1; layer <= 4; ++layer)
    for (int b = 0; g.has(fmt::format("layer{}.{}.conv1.weight", layer, b)); ++b)
      x = block(g, x, fmt::format("layer{}.{}", layer, b), spec.depth >= 50,
                b == 0 && layer > 1 ? 2 : 1);
  return g.node("Flatten", {g.node("GlobalAveragePool", {x})}, "features");
}

// A torch.nn.Sequential by its names: a ReLU behind each linear layer but the
// last, and behind its batch norm where it has one.
std::string projector(OnnxGraph& g, std::string x) {
  const std::string prefix = "projector.";
  std::vector<int> linear;
  for (int i = 0; i < 16; ++i)
    if (g.rank(fmt::format("{}{}.weight", prefix, i)) == 2) linear.push_back(i);
  if (linear.empty())
    throw error(ExitCode::kData, "[onnx] found no linear layer in the projector, "
                "expected 0.weight and so on");
  for (const int i : linear) {
    const bool last = i == linear.back();
    const std::string norm = fmt::format("{}{}", prefix, i + 1);
    const bool has_norm = g.has(norm + ".running_mean");
    x = g.linear(x, fmt::format("{}{}", prefix, i),
                 last && !has_norm ? "embedding" : "");
    if (has_norm) x = g.batch_norm(x, norm, last ? "embedding" : "");
    if (!last) x = g.node("Relu", {x});
  }
  return x;
}

void codes(OnnxGraph& g, const std::string& x,
           const std::vector<std::int64_t>& segments) {
  const bool equal = std::ranges::count(segments, segments[0]) ==
                     static_cast<std::ptrdiff_t>(segments.size());
  if (equal) {
    g.constant("segment_shape", {-1, static_cast<std::int64_t>(segments.size()),
                                 segments[0]});
    g.arg_max(g.node("Reshape", {x, "segment_shape"}), 2, false, "codes");
    return;
  }
  std::vector<std::string> each;
  for (const std::string& part : g.split(x, segments))
    each.push_back(g.arg_max(part, 1, true, ""));
  g.concat(each, 1, "codes");
}

template <typename Info>
OnnxContent::Tensor tensor_of(const Info& info) {
  std::vector<std::string> dims;
  const auto& type = info.type().tensor_type();
  for (const auto& d : type.shape().dim())
    dims.push_back(d.has_dim_value() ? std::to_string(d.dim_value())
                                     : d.dim_param());
  return {info.name(),
          onnx::TensorProto_DataType_Name(
              static_cast<onnx::TensorProto_DataType>(type.elem_type())),
          fmt::format("{}", fmt::join(dims, ","))};
}

}  // namespace

FileDigest write_onnx(const std::filesystem::path& path,
                      const EncoderWeights& weights, const OnnxSpec& spec) {
  const EncoderInfo& info = weights.info;
  std::int64_t units = 0;
  for (const NamedTensor& t : spec.projector)
    if (t.shape.size() == 2) units = t.shape[0];
  std::int64_t cut = 0;
  for (const std::int64_t s : spec.segments) cut += s;
  if (!spec.segments.empty() && cut != units)
    throw error(ExitCode::kUsage, "[onnx] segments of {} units in all for an "
                "embedding of {}", cut, units);

  onnx::ModelProto model;
  model.set_ir_version(8);
  model.set_producer_name("music");
  model.set_producer_version(build_info().describe());
  model.add_opset_import()->set_version(13);
  const std::string stats =
      fmt::format("mean {} and standard deviation {} of pixels from 0 to 1",
                  info.pixels.mean, info.pixels.std);
  const std::string input = spec.normalise ? "rgb" : "image";
  model.set_doc_string(fmt::format(
      "{}. Input {}: f32 [n,3,{},{}], {}", describe(info.encoder), input,
      info.image_size, info.image_size,
      spec.normalise ? "RGB from 0 to 255; the graph normalises by " + stats
                     : "RGB, normalised by " + stats));
  std::map<std::string, std::string> metadata = weights.metadata;
  metadata["encoder_hash"] = weights.hash;
  metadata["input"] = model.doc_string();
  for (const auto& [key, value] : metadata) {
    auto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }

  OnnxGraph g(*model.mutable_graph());
  for (const NamedTensor& t : weights.tensors) g.add(t.name, t);
  for (const NamedTensor& t : spec.projector) g.add("projector." + t.name, t);
  g.input(input, {3, info.image_size, info.image_size});
  std::string x = input;
  if (spec.normalise) x = g.normalise(x, info.pixels.mean, info.pixels.std);
  x = encoder(g, x, info.encoder);
  g.output("features", {info.encoder.features()}, false);
  if (!spec.projector.empty()) {
    x = projector(g, x);
    g.output("embedding", {units}, false);
  }
  if (!spec.segments.empty()) {
    codes(g, x, spec.segments);
    g.output("codes", {static_cast<std::int64_t>(spec.segments.size())}, true);
  }

  if (model.ByteSizeLong() > kMostBytes)
    throw error(ExitCode::kUsage, "[onnx] {} would be {} bytes, limit {}",
                path.string(), model.ByteSizeLong(), kMostBytes);
  const std::string bytes = model.SerializeAsString();
  try {  // what is written, as others will read it
    onnx::ModelProto read;
    MUSIC_CHECK(read.ParseFromString(bytes), "[onnx] the file does not parse");
    onnx::checker::check_model(read);
    onnx::shape_inference::InferShapes(
        read, onnx::OpSchemaRegistry::Instance(), {true, 1, false});
  } catch (const std::exception& failure) {
    MUSIC_CHECK(false, "[onnx] the checker refuses the graph: {}",
                one_line(failure.what()));
  }
  FileWriter file(path);
  file.write(bytes);
  return file.commit();
}

OnnxContent read_onnx(const std::filesystem::path& path) {
  std::vector<std::uint8_t> bytes;
  read_file(path.string(), 0x7FFFFFFF, bytes);
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !model.has_graph())
    throw error(ExitCode::kData, "[onnx] {} is not an ONNX model",
                path.string());
  OnnxContent out;
  const auto& graph = model.graph();
  for (const auto& i : graph.input()) out.inputs.push_back(tensor_of(i));
  for (const auto& o : graph.output()) out.outputs.push_back(tensor_of(o));
  for (const auto& t : graph.initializer())
    out.initializers.push_back(
        {t.name(),
         onnx::TensorProto_DataType_Name(
             static_cast<onnx::TensorProto_DataType>(t.data_type())),
         fmt::format("{}", fmt::join(t.dims(), ","))});
  std::map<std::string, int> operators;
  for (const auto& n : graph.node()) ++operators[n.op_type()];
  out.operators.assign(operators.begin(), operators.end());
  for (const auto& p : model.metadata_props())
    out.metadata.emplace_back(p.key(), p.value());
  return out;
}

}  // namespace music
