// The losses of VICReg and Barlow Twins, held to the reference in double.
#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/graph/autograd.h"
#include "music/loss/cpu/off_diagonal.h"
#include "tests/support/golden.h"
#include "tests/support/view_loss_run.h"

namespace {

using namespace music;
using namespace music::test;

constexpr ViewLossBounds kBounds{3e-6, 1e-5};

std::vector<double> widened(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}

template <typename Spec>
void check(const Spec& spec, const ViewCase& c) {
  CAPTURE(c.n);
  CAPTURE(c.units);
  CAPTURE(c.scale);
  CAPTURE(c.mean);
  CAPTURE(c.common);
  const auto z = c.z();
  const auto e = reference_of(spec, widened(z), c.units);
  check_view_loss(run_loss(spec, z, c.units), e, e.dz, kBounds.of(c),
                  fmt::format("N {} D {} scale {} mean {} common {}", c.n,
                              c.units, c.scale, c.mean, c.common));
}

template <typename Spec>
void check_differences(const Spec& spec, const ViewCase& c) {
  auto z = widened(c.z());
  const auto r = reference_of(spec, z, c.units);
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double h = 1e-5 * c.scale, keep = z[i];
    z[i] = keep + h;
    const double up = reference_of(spec, z, c.units).total();
    z[i] = keep - h;
    const double down = reference_of(spec, z, c.units).total();
    z[i] = keep;
    CHECK(near((up - down) / (2 * h), r.dz[i], 1e-6));
  }
}

template <typename Spec>
std::string message(const Spec& spec, const ViewCase& c,
                    DType codes = DType::kF32) {
  try {
    run_loss(spec, c.z(), c.units, {.codes = codes});
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

template <typename Spec>
void check_non_finite(const Spec& spec) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()})
    for (const std::size_t at : {0u, 37u, 159u}) {
      auto z = ViewCase{8, 10}.z();
      z[at] = bad;
      const auto r = run_loss(spec, z, 10);
      CHECK(!std::isfinite(r.total));
      for (const double t : r.terms) CHECK(!std::isfinite(t));
    }
}

template <typename Spec>
void check_threads(const Spec& spec) {
  const ViewCase c{40, 1100};
  const auto z = c.z();
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = run_loss(spec, z, c.units);
  for (const int threads : {2, 3}) {
    omp_set_num_threads(threads);
    const auto many = run_loss(spec, z, c.units);
    CHECK(near(many.total, one.total, 1e-6));
    CHECK(within(norm_relative(many.dz, one.dz), 2e-6));
    CHECK(many.deviation == one.deviation);
    const auto again = run_loss(spec, z, c.units);
    CHECK(again.dz == many.dz);
    CHECK(again.terms == many.terms);
  }
  omp_set_num_threads(before);
}

// Cases of a method whose options read(option) takes from the file.
template <typename Read>
void check_golden(const Golden& golden, const std::string& method,
                  const std::vector<std::string>& names, Read&& read) {
  for (const std::string& name : names) {
    const std::string at = method + "/" + name + "/";
    CAPTURE(at);
    const auto spec = read([&](const char* key, double& value) {
      if (golden.has(at + key)) value = golden.scalar(at + key);
    });
    const auto shape = golden.integers(at + "shape");
    std::vector<float> z;
    for (const char* view : {"z1", "z2"}) {
      const auto v = hashed(at + view, shape[0] * shape[1],
                            golden.scalar(at + "size"));
      z.insert(z.end(), v.begin(), v.end());
    }
    const auto terms = golden.get(at + "terms"), dz = golden.get(at + "dz");
    const auto e = reference_of(spec, widened(z), shape[1]);
    CHECK(within(max_relative(e.terms, terms), 1e-12));
    CHECK(within(norm_relative(e.dz, dz), 1e-12));
    const auto got = run_loss(spec, z, shape[1]);
    CHECK(within(max_relative(got.terms, terms), 1e-6));
    CHECK(within(norm_relative(got.dz, dz), 2e-6));
  }
}

// Both halves of the rows as batches of their own.
template <typename F>
double mean_of_halves(F&& loss) {
  const auto z = golden_views();
  double mean = 0;
  for (std::size_t r = 0; r < 2; ++r) {
    std::vector<double> half;
    for (const std::size_t i : {2 * r, 2 * r + 1, 4 + 2 * r, 5 + 2 * r})
      half.insert(half.end(), z.begin() + static_cast<std::ptrdiff_t>(6 * i),
                  z.begin() + static_cast<std::ptrdiff_t>(6 * i + 6));
    mean += loss(half) / 2;
  }
  return mean;
}

double norm_of_view(const std::vector<double>& dz, std::size_t v) {
  const std::span all(dz);
  return norm(all.subspan(v * 24, 24));
}

}  // namespace

TEST_SUITE("view_losses") {
  TEST_CASE("the references' gradients are those of their losses") {
    for (const auto& spec : vicreg_specs()) {
      check_differences(spec, {5, 4});
      check_differences(spec, {3, 6, 0.3, 1, 0.5});
    }
    for (const auto& spec : barlow_twins_specs()) {
      check_differences(spec, {5, 4});
      check_differences(spec, {3, 6, 0.3, 1, 0.5});
    }
  }

  TEST_CASE("VICReg: values worked out apart") {
    const auto z = golden_views();
    const auto e = reference_vicreg(z, 6, {});
    const double expected[] = {.0434526313, .2929009563, 1.2883532263,
                               9.6971929179};
    const std::vector<float> narrow(z.begin(), z.end());
    const auto got = run_loss(VicregSpec{}, narrow, 6);
    for (std::size_t t = 0; t < 4; ++t) {
      CHECK(near(e.terms[t], expected[t], 2e-10));
      CHECK(near(got.terms[t], expected[t], 1e-6));
    }
    CHECK(near(e.dz[0], .0064239158, 2e-10));
    CHECK(near(e.dz[23], -.3240705124, 2e-10));
    CHECK(near(norm_of_view(e.dz, 0), 3.1060384381, 2e-10));
    CHECK(near(norm_of_view(e.dz, 1), 2.2758369837, 2e-10));
    CHECK(near(got.dz[0], .0064239158, 1e-5));
    CHECK(near(got.dz[23], -.3240705124, 1e-5));
    // A covariance over a configured batch of 8, statistics of each half: other
    // losses.
    CHECK(near(reference_vicreg(z, 6, {}, 8).terms[2], .2366363069, 2e-10));
    CHECK(near(mean_of_halves([](const std::vector<double>& half) {
            return reference_vicreg(half, 6, {}).total();
          }), 15.5264281494, 1e-9));
    CHECK(std::abs(got.terms[2] - .2366363069) > 1);
    CHECK(std::abs(got.terms[3] - 15.5264281494) > 5);
  }

  TEST_CASE("Barlow Twins: values worked out apart") {
    const auto z = golden_views();
    const auto e = reference_barlow_twins(z, 6, {});
    CHECK(near(e.matrices[0], .7995319366, 2e-10));
    CHECK(near(e.matrices[5], -.5601526217, 2e-10));
    const double expected[] = {.0586924469, 11.7715438084, .1187273204};
    const std::vector<float> narrow(z.begin(), z.end());
    const auto got = run_loss(BarlowTwinsSpec{}, narrow, 6);
    for (std::size_t t = 0; t < 3; ++t) {
      CHECK(near(e.terms[t], expected[t], 2e-10));
      CHECK(near(got.terms[t], expected[t], 1e-6));
    }
    CHECK(near(e.dz[0], -.1410354616, 2e-10));
    CHECK(near(norm_of_view(e.dz, 0), .3309995660, 2e-10));
    CHECK(near(norm_of_view(e.dz, 1), .2643530059, 2e-10));
    CHECK(near(got.dz[0], -.1410354616, 1e-6));
    // Statistics of each half, a gradient that another process's samples are
    // missing in: other losses.
    CHECK(std::abs(got.terms[2] - 1.8454760896) > 1);
    CHECK(std::abs(got.dz[0] - -.0705177308) > 0.05);
  }

  TEST_CASE("against PyTorch") {
    const Golden golden("view_losses");
    check_golden(golden, "vicreg_loss", {"narrow", "wide", "mixed", "options"},
                 [](const auto& option) {
                   VicregSpec s;
                   option("invariance", s.invariance);
                   option("variance", s.variance);
                   option("covariance", s.covariance);
                   option("epsilon", s.epsilon);
                   return s;
                 });
    check_golden(golden, "barlow_twins_loss", {"narrow", "wide", "options"},
                 [](const auto& option) {
                   BarlowTwinsSpec s;
                   option("lambda", s.lambda);
                   option("scale", s.scale);
                   option("epsilon", s.epsilon);
                   return s;
                 });
  }

  TEST_CASE("loss and gradient equal the reference for every option") {
    for (const auto& c : view_cases()) {
      for (const auto& spec : vicreg_specs()) check(spec, c);
      for (const auto& spec : barlow_twins_specs()) check(spec, c);
    }
  }

  TEST_CASE("tiles of any number") {
    for (const ViewCase& c : {ViewCase{30, 385}, ViewCase{450, 400}}) {
      check(VicregSpec{}, c);
      check(BarlowTwinsSpec{}, c);
    }
  }

  TEST_CASE("collapse is what its reference lines say") {
    const std::vector<float> z(2 * 8 * 32, 0.3f);
    const auto v = run_loss(VicregSpec{}, z, 32);
    CHECK(near(v.total, 24.75, 1e-6));
    for (const float g : v.dz) REQUIRE(g == 0);
    CHECK(near(run_loss(BarlowTwinsSpec{}, z, 32).total, 32, 1e-6));
  }

  TEST_CASE("non-finite embeddings show in the total") {
    for (const auto& spec : vicreg_specs()) check_non_finite(spec);
    for (const auto& spec : barlow_twins_specs()) check_non_finite(spec);
  }

  TEST_CASE("threads share the work, not the result") {
    check_threads(VicregSpec{});
    check_threads(BarlowTwinsSpec{});
  }

  TEST_CASE("the node: backward scales the gradient") {
    const ViewCase c{5, 12};
    const auto z = c.z();
    Parameters parameters;
    const int slot = parameters.add("z", Shape{10, 12}, {});
    parameters.set_storage({.training = true});
    parameters.allocate();
    upload(parameters.value(slot).data, z.data(), z.size() * sizeof(float),
           Device::kCpu);
    Graph g(parameters);
    const auto loss = barlow_twins(g, g.parameter(slot), {});
    backward(g, loss.total, g.constant({1}, 8));
    BoundExecutable step(std::move(g), parameters);
    step->run();
    const auto direct = run_loss(BarlowTwinsSpec{}, z, 12);
    const auto scaled = floats(parameters.gradient(slot));
    for (std::size_t i = 0; i < scaled.size(); ++i)
      REQUIRE(scaled[i] == 8 * direct.dz[i]);
  }

  TEST_CASE("the authors' size needs little memory") {
    KernelRequest request{Device::kCpu, {}, {}};
    request.in.emplace_back().shape = Shape{2 * 256, 8192};
    for (const auto bytes :
         {cpu::make_vicreg(request, {}, {}, DType::kF32)->workspace_bytes(),
          cpu::make_barlow_twins(request, {}, {}, DType::kF32)
              ->workspace_bytes()})
      CHECK(bytes < std::size_t{25} << 20);  // the views, 16 MiB, and tiles
  }

  TEST_CASE("settings out of range") {
    CHECK(message(VicregSpec{.variance = INFINITY}, {4, 3}) ==
          "[vicreg] coefficients 25, inf, 1: expected finite numbers");
    CHECK(message(VicregSpec{.epsilon = 0}, {4, 3}) ==
          "[vicreg] epsilon 0: expected a number above 0");
    CHECK(message(VicregSpec{}, {1, 3}).starts_with(
        "[vicreg] 1 samples, expected at least 2"));
    CHECK(message(VicregSpec{}, {4, 3}, DType::kF16) ==
          "[vicreg] codes in F16: on a CPU they are F32");
    CHECK(message(BarlowTwinsSpec{.lambda = NAN}, {4, 3}) ==
          "[barlow_twins] lambda nan, scale 1: expected finite numbers");
    CHECK(message(BarlowTwinsSpec{.epsilon = -1}, {4, 3}) ==
          "[barlow_twins] epsilon -1: expected a number above 0");
    CHECK(message(BarlowTwinsSpec{}, {4, 3}, DType::kF16) ==
          "[barlow_twins] codes in F16: on a CPU they are F32");
  }
}
