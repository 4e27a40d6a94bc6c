#include "layers/projector.h"

#include <charconv>

#include "engine/ops/linear.h"
#include "engine/ops/relu.h"
#include "layers/init.h"

namespace music {

std::vector<std::int64_t> parse_projector(const std::string& spec) {
  std::vector<std::int64_t> widths;
  const char* p = spec.data();
  const char* const end = p + spec.size();
  const auto fail = [&] {
    return error(ExitCode::kUsage,
                 "[projector] \"{}\", expected one to four widths joined by "
                 "'-', as 8192-8160", spec);
  };
  while (true) {
    std::int64_t width = 0;
    const auto [next, problem] = std::from_chars(p, end, width);
    if (problem != std::errc() || width < 1 || width > (1 << 24)) throw fail();
    widths.push_back(width);
    if (next == end) break;
    if (*next != '-') throw fail();
    p = next + 1;
  }
  if (widths.size() > 4) throw fail();
  return widths;
}

namespace {

using LastNorm = HeadSpec::LastNorm;

Affine affine_of(LastNorm norm) {
  switch (norm) {
    case LastNorm::kNoBeta: return Affine::kNoBeta;
    case LastNorm::kPlain: return Affine::kNone;
    default: return Affine::kBoth;
  }
}

}  // namespace

Projector::Projector(Parameters& parameters, const std::string& prefix,
                     std::int64_t features,
                     const std::vector<std::int64_t>& widths)
    : Projector(parameters, prefix, features, HeadSpec{.widths = widths}) {}

Projector::Projector(Parameters& parameters, const std::string& prefix,
                     std::int64_t features, const HeadSpec& spec)
    : scope_(prefix.empty() ? "projector" : prefix) {
  MUSIC_CHECK(!spec.widths.empty(), "[projector] {} has no layers, expected one "
              "or more", scope_);
  std::int64_t in = features;
  int index = 0;
  const auto name = [&] { return join_name(prefix, std::to_string(index++)); };
  for (std::size_t i = 0; i < spec.widths.size(); ++i) {
    const bool last = i + 1 == spec.widths.size();
    const std::int64_t out = spec.widths[i];
    const std::string linear = name();
    Layer& layer = layers_.emplace_back();
    layer.weight =
        parameters.add(linear + ".weight", {out, in}, linear_init(in));
    layer.bias = (last ? spec.last_bias : spec.bias)
                     ? parameters.add(linear + ".bias", {out}, linear_init(in))
                     : -1;
    if (last ? spec.last_norm != LastNorm::kNone : spec.norm)
      layer.norm.emplace(parameters, name(), out, 1.0,
                         last ? affine_of(spec.last_norm) : Affine::kBoth);
    ++index;  // the ReLU
    in = out;
  }
  units_ = in;
}

Value Projector::forward(Graph& graph, Value x, ForwardMode mode) const {
  Graph::Scope scope(graph, scope_);
  const DType dtype = graph.info(x).dtype;
  for (const Layer& layer : layers_) {
    const bool last = &layer == &layers_.back();
    const Value w = weight(graph, layer.weight, mode, dtype);
    const Value bias =
        layer.bias >= 0 ? weight(graph, layer.bias, mode, dtype) : Value{};
    x = linear(graph, x, w, bias, last ? DType::kF32 : dtype);
    if (layer.norm) x = layer.norm->forward(graph, x, mode, !last);
    else if (!last) x = relu(graph, x);
  }
  return x;
}

}  // namespace music
