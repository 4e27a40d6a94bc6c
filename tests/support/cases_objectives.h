#pragma once
// Cases of the ops that objectives are made of.

#include <string>

#include "engine/ops/contrastive.h"
#include "engine/ops/sinkhorn.h"
#include "engine/ops/soft_cross_entropy.h"
#include "tests/support/cases_rows.h"

namespace music::test {

struct ContrastiveRow {
  std::int64_t n, samples, first;
  double temperature = 0.1;
};

inline void add_contrastive_cases(std::vector<OpCase>& cases,
                                  const std::vector<ContrastiveRow>& rows) {
  for (const ContrastiveRow& d : rows) {
    OpCase c;
    c.wide_only = true;
    const auto add = [&](const std::string& op, auto record, auto reference) {
      for (const bool correct : {false, true}) {
        c.name = fmt::format("{} {} of {} from {}, t {}{}", op, d.n, d.samples,
                             d.first, d.temperature, correct ? ", count" : "");
        for (CaseTensor& t : c.tensors)
          t.role = correct ? Role::kData : Role::kTrained;
        c.record = [=](Graph& g, Values v) {
          const ContrastiveValues r = record(g, v);
          return correct ? r.correct : r.loss;
        };
        c.reference = [=](CaseResult& r, const Array& dy) {
          reference::Contrastive e;
          std::vector<Array> gradients;
          reference(r.tensors, e, gradients);
          r.y = scalar(correct ? e.correct : e.loss);
          for (std::size_t i = 0; !correct && i < gradients.size(); ++i)
            r.gradients[i] = times(gradients[i], dy[0]);
        };
        cases.push_back(c);
      }
    };
    c.tensors = {{uniform("scores", {2 * d.n, 2 * d.samples})}};
    const ContrastiveSpec spec{d.first, d.samples, d.temperature, 0.3};
    add("contrastive",
        [spec](Graph& g, Values v) { return contrastive(g, v[0], spec); },
        [spec](const auto& t, auto& e, auto& gradients) {
          e = reference::contrastive(t[0], spec.first, spec.samples,
                                     spec.temperature, spec.weight);
          gradients = {e.dscores};
        });
    const std::int64_t n = 2 * d.n, k = d.samples;
    c.tensors = {{uniform("positive", {n}, 1, 0.5)}, {uniform("queue", {n, k})}};
    if (d.first > 0) c.tensors[0].value.shape = {n, 1};
    add("queue_contrastive",
        [t = d.temperature](Graph& g, Values v) {
          return queue_contrastive(g, v[0], v[1], t, 0.3);
        },
        [=, t = d.temperature](const auto& x, auto& e, auto& gradients) {
          Array all({n, 1 + k});
          for (std::int64_t i = 0; i < n; ++i) {
            all[i * (1 + k)] = x[0][i];
            for (std::int64_t j = 0; j < k; ++j)
              all[i * (1 + k) + 1 + j] = x[1][i * k + j];
          }
          e = reference::queue_contrastive(all, t, 0.3);
          gradients = {Array(x[0].shape), Array(x[1].shape)};
          for (std::int64_t i = 0; i < n; ++i) {
            gradients[0][i] = e.dscores[i * (1 + k)];
            for (std::int64_t j = 0; j < k; ++j)
              gradients[1][i * k + j] = e.dscores[i * (1 + k) + 1 + j];
          }
        });
  }
}

struct SoftCrossEntropyRow {
  std::int64_t m, k;
  double temperature = 0.1, scale = 2;
};

inline void add_soft_cross_entropy_cases(
    std::vector<OpCase>& cases, const std::vector<SoftCrossEntropyRow>& rows) {
  for (const SoftCrossEntropyRow& d : rows) {
    OpCase c;
    c.wide_only = true;
    c.name = fmt::format("soft_cross_entropy {}x{}, t {}, logits +-{}", d.m,
                         d.k, d.temperature, d.scale / 2);
    Array targets = uniform("targets", {d.m, d.k}, 1, 0.5);
    for (std::int64_t i = 0; i < targets.size(); i += 3) targets[i] = 0;
    c.tensors = {{uniform("logits", {d.m, d.k}, d.scale)},
                 {targets, Role::kData}};
    c.record = [d](Graph& g, Values v) {
      return soft_cross_entropy(g, v[0], v[1], d.temperature, 0.7);
    };
    c.reference = [d](CaseResult& r, const Array& dy) {
      const auto e = reference::soft_cross_entropy(r.tensors[0], r.tensors[1],
                                                   d.temperature, 0.7);
      r.y = scalar(e.loss);
      r.gradients[0] = times(e.dlogits, dy[0]);
    };
    cases.push_back(c);
  }
}

struct SinkhornRow {
  std::int64_t b, k;
  double epsilon = 0.05;
  int iterations = 3;
};

inline void add_sinkhorn_cases(std::vector<OpCase>& cases,
                               const std::vector<SinkhornRow>& rows) {
  for (const SinkhornRow& d : rows) {
    OpCase c;
    c.wide_only = true;
    c.name = fmt::format("sinkhorn {}x{}, epsilon {}, {} times", d.b, d.k,
                         d.epsilon, d.iterations);
    c.tensors = {{uniform("sinkhorn/s", {d.b, d.k}), Role::kData}};
    // A column that no row is near: its sum is 0.
    for (std::int64_t i = 0; d.k > 2 && i < d.b; ++i)
      c.tensors[0].value[i * d.k + 1] = -400;
    c.record = [d](Graph& g, Values v) {
      return sinkhorn(g, v[0], d.epsilon, d.iterations);
    };
    c.reference = [d](CaseResult& r, const Array&) {
      r.y = reference::sinkhorn(r.tensors[0], d.epsilon, d.iterations);
    };
    cases.push_back(c);
  }
}

inline void add_objective_cases(std::vector<OpCase>& cases) {
  add_contrastive_cases(cases, {{1, 1, 0, 0.5}, {4, 4, 0}, {3, 10, 4},
                                {2, 40, 38, 1}, {16, 16, 0, 0.07}});
  add_soft_cross_entropy_cases(cases, {{1, 1}, {5, 10}, {33, 3, 1, 200},
                                       {16, 100, 0.5}});
  add_sinkhorn_cases(cases, {{1, 1}, {5, 3}, {130, 40}, {33, 300, 0.05, 1},
                             {16, 7, 0.5, 10}});
}

}  // namespace music::test
