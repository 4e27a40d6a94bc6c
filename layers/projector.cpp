#include "layers/projector.h"

#include <charconv>

#include "engine/ops/linear.h"
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

Projector::Projector(Parameters& parameters, const std::string& prefix,
                     std::int64_t features,
                     const std::vector<std::int64_t>& widths) {
  std::int64_t in = features;
  int index = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i, index += 3) {
    const std::string name = join_name(prefix, std::to_string(index));
    const int weight =
        parameters.add(name + ".weight", {widths[i], in}, linear_init(in));
    const int bias = parameters.add(name + ".bias", {widths[i]}, linear_init(in));
    hidden_.push_back({weight, bias,
                       BatchNorm(parameters,
                                 join_name(prefix, std::to_string(index + 1)),
                                 widths[i])});
    in = widths[i];
  }
  units_ = widths.back();
  last_ = parameters.add(join_name(prefix, std::to_string(index)) + ".weight",
                         {units_, in}, linear_init(in));
}

Value Projector::forward(Graph& graph, Value x, ForwardMode mode) const {
  Graph::Scope scope(graph, "projector");
  const DType dtype = graph.info(x).dtype;
  for (const Hidden& h : hidden_)
    x = h.norm.forward(graph,
                       linear(graph, x, graph.parameter(h.weight, dtype),
                              graph.parameter(h.bias, dtype)),
                       mode, true);
  return linear(graph, x, graph.parameter(last_, dtype), Value{}, DType::kF32);
}

}  // namespace music
