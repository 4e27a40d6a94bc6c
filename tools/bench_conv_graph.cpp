// bench_conv through cuDNN's graph API: a convolution and what is fused to it
// as one graph, and the plans that the library advises for it.
#include <cudnn_frontend.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "tools/bench_conv.h"

namespace music {
namespace {

namespace fe = cudnn_frontend;
using Value = std::shared_ptr<fe::graph::Tensor_attributes>;
using Pointwise = fe::graph::Pointwise_attributes;
using Mode = fe::PointwiseMode_t;

fe::DataType_t type_of(DType dtype) {
  return dtype == DType::kF16    ? fe::DataType_t::HALF
         : dtype == DType::kBF16 ? fe::DataType_t::BFLOAT16
                                 : fe::DataType_t::FLOAT;
}

// The first line of what the library says.
std::string line(fe::error_t e) {
  const std::string text = e.get_message();
  return text.substr(0, std::min<std::size_t>(text.find('\n'), 120));
}

// A graph while it is built, with the memory of its values.
class Recipe {
 public:
  Recipe(const cuda::ConvolutionProblem& p, const ConvMemory& memory)
      : p_(p), memory_(memory), type_(type_of(p.dtype)) {
    graph_.set_io_data_type(type_)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
  }

  void build(ConvWork work) {
    switch (work) {
      case ConvWork::kForward:
        return forward(false, false);
      case ConvWork::kForwardSums:
        return forward(false, true);
      case ConvWork::kApplyForwardSums:
        return forward(true, true);
      case ConvWork::kBackwardData:
        return backward_data(false);
      case ConvWork::kBackwardDataSums:
        return backward_data(true);
      case ConvWork::kBackwardWeights:
        return backward_weights(false);
      case ConvWork::kApplyBackwardWeights:
        return backward_weights(true);
    }
  }
  fe::graph::Graph& graph() { return graph_; }
  std::unordered_map<Value, void*>& values() { return values_; }

 private:
  // [N,H,W,C] as the library counts: N, C, H, W with strides.
  static std::vector<std::int64_t> dims(const Shape& s) {
    return {s[0], s[3], s[1], s[2]};
  }
  static std::vector<std::int64_t> strides(const Shape& s) {
    return {s[1] * s[2] * s[3], 1, s[2] * s[3], s[3]};
  }
  Value input(const char* name, const Shape& shape, void* data) {
    const Value v = graph_.tensor(fe::graph::Tensor_attributes()
                                      .set_name(name)
                                      .set_dim(dims(shape))
                                      .set_stride(strides(shape))
                                      .set_data_type(type_));
    values_[v] = data;
    return v;
  }
  void output(const Value& v, const Shape& shape) {
    v->set_output(true)
        .set_data_type(type_)
        .set_dim(dims(shape))
        .set_stride(strides(shape));
    values_[v] = memory_.c.data();
  }
  // A vector of F32, one element a channel.
  void* next_vector() {
    MUSIC_CHECK(vectors_ < ConvMemory::kVectors, "[bench_conv] {} vectors",
                vectors_);
    return memory_.channels.as<float>() +
           ConvMemory::kMostChannels * vectors_++;
  }
  Value vector(const char* name, std::int64_t channels, fe::DataType_t type) {
    const Value v = input(name, {1, 1, 1, channels}, next_vector());
    v->set_data_type(type);
    return v;
  }
  void sums(const Value& v, std::int64_t channels) {
    output(v, {1, 1, 1, channels});
    v->set_data_type(fe::DataType_t::FLOAT);
    values_[v] = next_vector();
  }
  Value pointwise(Mode mode, const Value& a, const Value& b) {
    return graph_.pointwise(a, b, Pointwise().set_mode(mode));
  }
  // Batch norm with scale and bias (which the library takes in the type of the
  // tensors) and ReLU.
  Value apply(const Value& x) {
    const std::int64_t c = p_.x[3];
    const Value scaled = pointwise(Mode::MUL, x, vector("scale", c, type_));
    const Value moved = pointwise(Mode::ADD, scaled, vector("bias", c, type_));
    const Value y =
        graph_.pointwise(moved, Pointwise().set_mode(Mode::RELU_FWD));
    y->set_data_type(type_);
    return y;
  }
  template <typename Attributes>
  Attributes geometry() const {
    return Attributes()
        .set_padding({p_.spec.pad, p_.spec.pad})
        .set_stride({p_.spec.stride, p_.spec.stride})
        .set_dilation({1, 1});
  }

  void forward(bool applied, bool summed) {
    Value x = input("x", p_.x, memory_.a.data());
    const Value w = input("w", p_.w, memory_.b.data());
    if (applied) x = apply(x);
    const Value y =
        graph_.conv_fprop(x, w, geometry<fe::graph::Conv_fprop_attributes>());
    output(y, p_.y);
    if (!summed) return;
    const auto [sum, squares] =
        graph_.genstats(y, fe::graph::Genstats_attributes());
    sums(sum, p_.y[3]);
    sums(squares, p_.y[3]);
  }

  void backward_data(bool summed) {
    const Value dy = input("dy", p_.y, memory_.a.data());
    const Value w = input("w", p_.w, memory_.b.data());
    const Value dx =
        graph_.conv_dgrad(dy, w, geometry<fe::graph::Conv_dgrad_attributes>());
    if (!summed) return output(dx, p_.x);
    dx->set_dim(dims(p_.x)).set_stride(strides(p_.x));
    const Value x = input("x", p_.x, memory_.d.data());
    const std::int64_t c = p_.x[3];
    const auto wide = fe::DataType_t::FLOAT;
    const Value mean = vector("mean", c, wide),
                inverse = vector("inverse", c, wide),
                scale = vector("scale", c, wide),
                bias = vector("bias", c, wide);
    const Value normal =
        pointwise(Mode::MUL, pointwise(Mode::SUB, x, mean), inverse);
    const Value before =
        pointwise(Mode::ADD, pointwise(Mode::MUL, normal, scale), bias);
    const Value gradient = pointwise(Mode::RELU_BWD, dx, before);
    output(gradient, p_.x);
    const auto results = graph_.dbn_weight(gradient, x, mean, inverse, scale,
                                           fe::graph::DBN_weight_attributes());
    for (const Value& v : results) sums(v, c);
  }

  void backward_weights(bool applied) {
    const Value dy = input("dy", p_.y, memory_.a.data());
    Value x = input("x", p_.x, memory_.d.data());
    if (applied) x = apply(x);
    output(
        graph_.conv_wgrad(dy, x, geometry<fe::graph::Conv_wgrad_attributes>()),
        p_.w);
  }

  const cuda::ConvolutionProblem& p_;
  const ConvMemory& memory_;
  fe::DataType_t type_;
  fe::graph::Graph graph_;
  std::unordered_map<Value, void*> values_;
  std::int64_t vectors_ = 0;
};

}  // namespace

struct ConvGraphs::Body {
  ConvMemory& memory;
  Buffer workspace{cuda::kMostWorkspace, Memory::kDevice};
  cudnnHandle_t handle = nullptr;
};

std::string ConvGraphs::why_not() { return ""; }

ConvGraphs::ConvGraphs(ConvMemory& memory) : body_(new Body{memory}) {
  cudnnStatus_t status = cudnnCreate(&body_->handle);
  if (status == CUDNN_STATUS_SUCCESS)
    status = cudnnSetStream(body_->handle,
                            static_cast<cudaStream_t>(memory.stream.get()));
  if (status != CUDNN_STATUS_SUCCESS)
    throw error(ExitCode::kUsage, "[bench_conv] cuDNN answers {}",
                cudnnGetErrorString(status));
}
ConvGraphs::~ConvGraphs() { cudnnDestroy(body_->handle); }

ConvFigure ConvGraphs::measure(const cuda::ConvolutionProblem& problem,
                               ConvWork work, int plans, double seconds) {
  const auto begin = std::chrono::steady_clock::now();
  const auto over = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         begin)
               .count() > seconds;
  };
  ConvFigure figure;
  Recipe recipe(problem, body_->memory);
  recipe.build(work);
  fe::graph::Graph& graph = recipe.graph();
  const cudnnHandle_t handle = body_->handle;
  fe::error_t answer = graph.validate();
  if (answer.is_good()) answer = graph.build_operation_graph(handle);
  if (answer.is_good())
    answer = graph.create_execution_plans({fe::HeurMode_t::A});
  if (answer.is_bad()) {
    figure.plan = line(answer);
    return figure;
  }
  figure.plans = static_cast<int>(graph.get_execution_plan_count());
  for (int i = 0; i < figure.plans && figure.timed < plans && !over(); ++i) {
    answer = graph.build_plan_at_index(handle, i);
    if (answer.is_bad()) {
      if (figure.timed == 0) figure.plan = line(answer);
      continue;
    }
    if (graph.get_workspace_size_plan_at_index(i) >
        static_cast<std::int64_t>(cuda::kMostWorkspace))
      continue;
    const double us = time_on(body_->memory.stream, [&] {
      return graph
          .execute_plan_at_index(handle, recipe.values(),
                                 body_->workspace.data(), i)
          .is_good();
    });
    if (us < 0) continue;
    ++figure.timed;
    if (figure.us >= 0 && us >= figure.us) continue;
    figure.us = us;
    if (graph.get_plan_name_at_index(i, figure.plan).is_bad())
      figure.plan = fmt::format("plan {}", i);
  }
  if (figure.us < 0 && figure.plan.empty())
    figure.plan = fmt::format("none of {} plans runs", figure.plans);
  return figure;
}

}  // namespace music
