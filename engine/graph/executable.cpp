#include "engine/graph/executable.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace music {
namespace {

bool environment_is(const char* name, std::string_view value) {
  const char* v = std::getenv(name);
  return v && v == value;
}

template <typename T>
std::int64_t first_bad(const Tensor& t) {
  const T* p = t.as<T>();
  for (std::int64_t i = 0; i < t.elements(); ++i)
    if (!std::isfinite(p[i])) return i;
  return -1;
}

}  // namespace

ExecutableOptions executable_options_from_environment() {
  ExecutableOptions options;
  options.check_finite = environment_is("MUSIC_CHECK_NAN", "1");
  options.reuse_memory = !environment_is("MUSIC_PLANNER", "off");
  return options;
}

Executable::Executable(Graph graph, Parameters& parameters,
                       ExecutableOptions options)
    : graph_(std::move(graph)),
      parameters_(&parameters),
      options_(options),
      plan_(plan_memory(graph_, options.reuse_memory)) {
  MUSIC_CHECK(parameters.allocated(), "[executable] parameters not allocated");
  for (const Node& node : graph_.nodes()) {
    KernelRequest request;
    request.device = options.device;
    for (Value v : node.inputs) request.in.push_back(graph_.info(v));
    for (Value v : node.outputs) request.out.push_back(graph_.info(v));
    Step step;
    step.kernel = node.make(request);
    workspace_bytes_ = std::max(workspace_bytes_, step.kernel->workspace_bytes());
    steps_.push_back(std::move(step));
    times_.push_back({node.op, node.scope, 0});
  }
}

void Executable::bind(void* arena, void* workspace) {
  workspace_ = workspace;
  tensors_.clear();
  constants_.clear();
  for (std::size_t i = 0; i < graph_.values().size(); ++i) {
    const ValueInfo& v = graph_.values()[i];
    Tensor t{nullptr, v.shape, v.dtype};
    switch (v.storage) {
      case Storage::kPlanned:
        t.data = static_cast<std::byte*>(arena) + plan_.offset[i];
        break;
      case Storage::kInput: break;
      case Storage::kConstant: {
        constants_.emplace_back(t.bytes());
        t.data = constants_.back().data();
        std::fill_n(t.f32(), t.elements(), static_cast<float>(v.constant));
        break;
      }
      case Storage::kParameter: t.data = parameters_->value(v.slot).data; break;
      case Storage::kGradient: t.data = parameters_->gradient(v.slot).data; break;
      case Storage::kBuffer: t.data = parameters_->buffer(v.slot).data; break;
    }
    tensors_.push_back(t);
  }
  for (std::size_t n = 0; n < steps_.size(); ++n) {
    steps_[n].in.clear();
    steps_[n].out.clear();
    for (Value v : graph_.nodes()[n].inputs) steps_[n].in.push_back(tensor(v));
    for (Value v : graph_.nodes()[n].outputs) steps_[n].out.push_back(tensor(v));
  }
  bound_ = true;
}

void Executable::set_input(Value input, const void* data) {
  MUSIC_CHECK(graph_.info(input).storage == Storage::kInput,
              "[executable] {} is not an input", graph_.info(input).name);
  auto* p = const_cast<void*>(data);  // kernels never write inputs
  if (tensor(input).data == p) return;
  tensors_[static_cast<std::size_t>(input.id)].data = p;
  for (std::size_t n = 0; n < steps_.size(); ++n) {
    const auto& inputs = graph_.nodes()[n].inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] == input) steps_[n].in[i].data = p;
  }
}

void Executable::run() {
  MUSIC_CHECK(bound_, "[executable] run() before bind()");
  using Clock = std::chrono::steady_clock;
  for (std::size_t n = 0; n < steps_.size(); ++n) {
    Step& step = steps_[n];
    const auto start = options_.profile ? Clock::now() : Clock::time_point{};
    step.kernel->run({step.in, step.out, workspace_, nullptr});
    if (options_.profile)
      times_[n].milliseconds +=
          std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    if (options_.check_finite) check_node(n);
  }
}

void Executable::check_node(std::size_t n) const {
  const Node& node = graph_.nodes()[n];
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    const Tensor& t = steps_[n].out[o];
    const std::int64_t bad = t.dtype == DType::kF32   ? first_bad<float>(t)
                             : t.dtype == DType::kF64 ? first_bad<double>(t)
                                                      : -1;
    if (bad < 0) continue;
    std::string inputs;
    for (Value v : node.inputs)
      inputs += fmt::format(" {}{}", graph_.info(v).name, graph_.shape(v).str());
    throw error(ExitCode::kNumerical,
                "[nan] node {} ({} in {}) wrote a non-finite value at element "
                "{} of {}; inputs:{}",
                n, node.op, node.scope.empty() ? "the model" : node.scope, bad,
                graph_.info(node.outputs[o]).name, inputs);
  }
}

}  // namespace music
