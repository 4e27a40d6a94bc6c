#include "engine/graph/executable.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "engine/core/device_runtime.h"
#include "engine/core/half.h"

namespace music {
namespace {

bool environment_is(const char* name, std::string_view value) {
  const char* v = std::getenv(name);
  return v && v == value;
}

float number(float v) { return v; }
double number(double v) { return v; }
float number(Half v) { return to_float(v); }
float number(BFloat16 v) { return to_float(v); }

template <typename T>
std::int64_t first_bad(const void* data, std::int64_t n) {
  const T* p = static_cast<const T*>(data);
  for (std::int64_t i = 0; i < n; ++i)
    if (!std::isfinite(number(p[i]))) return i;
  return -1;
}

// Index of the first element that is not finite; -1: none, or integers.
std::int64_t first_bad(const void* data, DType dtype, std::int64_t n) {
  switch (dtype) {
    case DType::kF64: return first_bad<double>(data, n);
    case DType::kF32: return first_bad<float>(data, n);
    case DType::kF16: return first_bad<Half>(data, n);
    case DType::kBF16: return first_bad<BFloat16>(data, n);
    default: return -1;
  }
}

bool without_elements(const ValueInfo& v) { return v.shape.elements() == 0; }

// Of a node without rows (Node::needs_no_rows): zeros for what it sums.
class SumsOfNothing final : public Kernel {
 public:
  explicit SumsOfNothing(Device device) : device_(device) {}
  void run(const KernelArgs& args) override {
    for (const Tensor& t : args.out) {
      if (t.elements() == 0) continue;
      if (device_ == Device::kCuda)
        cuda::set(t.data, 0, t.bytes(), args.stream);
      else
        std::memset(t.data, 0, t.bytes());
    }
  }

 private:
  Device device_;
};

std::unique_ptr<Kernel> make_kernel(const Node& node,
                                    const KernelRequest& request) {
  if (!node.needs_no_rows &&
      (std::ranges::any_of(request.in, without_elements) ||
       std::ranges::any_of(request.out, without_elements)))
    return std::make_unique<SumsOfNothing>(request.device);
  return node.make(request);
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
  for (const Node& node : graph_.nodes()) {
    Step step;
    step.kernel = make_kernel(node, request_for(graph_, node, options.device));
    workspace_bytes_ = std::max(workspace_bytes_, step.kernel->workspace_bytes());
    steps_.push_back(std::move(step));
    times_.push_back({node.op, node.scope, 0});
  }
}

void Executable::bind(void* arena, void* workspace, float* gradients) {
  MUSIC_CHECK(parameters_->allocated(), "[executable] parameters not allocated");
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
        const std::vector<float> values(
            static_cast<std::size_t>(t.elements()),
            static_cast<float>(v.constant));
        constants_.emplace_back(t.bytes(), memory_of(options_.device));
        t.data = constants_.back().data();
        upload(t.data, values.data(), t.bytes(), options_.device);
        break;
      }
      case Storage::kParameter:
      case Storage::kTarget: {
        const bool target = v.storage == Storage::kTarget, wide = v.dtype == DType::kF32;
        const Tensor p =
            target ? wide ? parameters_->target(v.slot)
                          : parameters_->compute_target(v.slot)
            : wide ? parameters_->value(v.slot)
                   : parameters_->compute_value(v.slot);
        MUSIC_CHECK(p.dtype == v.dtype,
                    "[executable] parameter {} wanted as {}, kept as {}",
                    v.name, name_of(v.dtype), name_of(p.dtype));
        t.data = p.data;
        break;
      }
      case Storage::kGradient:
        t.data = parameters_->gradient(v.slot).data;
        if (gradients)
          t.data = gradients +
                   parameters_->table()[static_cast<std::size_t>(v.slot)].offset;
        break;
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

void Executable::run(void* stream) {
  MUSIC_CHECK(bound_, "[executable] run() before bind()");
  for (std::size_t n = 0; n < steps_.size(); ++n) {
    run_node(n, stream);
    if (options_.check_finite) {
      if (options_.device == Device::kCuda) cuda::synchronize(stream);
      check_node(n);
    }
    if (observer_) observer_(n);
  }
}

void Executable::run_node(std::size_t n, void* stream) {
  Step& step = steps_[n];
  const KernelArgs args{step.in, step.out, workspace_, stream};
  if (options_.device == Device::kCpu) {
    using Clock = std::chrono::steady_clock;
    const auto start = options_.profile ? Clock::now() : Clock::time_point{};
    step.kernel->run(args);
    if (options_.profile)
      times_[n].milliseconds +=
          std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    return;
  }
  const cuda::Range range(times_[n].op.c_str());
  if (!options_.profile) return step.kernel->run(args);
  cuda::Event start(true), end(true);
  start.record(stream);
  step.kernel->run(args);
  end.record(stream);
  end.synchronize();
  times_[n].milliseconds += cuda::Event::milliseconds(start, end);
}

void Executable::check_node(std::size_t n) const {
  const Node& node = graph_.nodes()[n];
  std::vector<std::byte> copy;
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    const Tensor& t = steps_[n].out[o];
    const void* data = t.data;
    if (options_.device == Device::kCuda) {
      copy.resize(t.bytes());
      download(copy.data(), t.data, t.bytes(), options_.device);
      data = copy.data();
    }
    const std::int64_t bad = first_bad(data, t.dtype, t.elements());
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
