#include "music/eval/view_pairs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "music/eval/feature_executable.h"
#include "tests/support/made_images.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using music::test::Made;
using music::test::near;

constexpr int kSize = 16;
constexpr std::int64_t kUnits = 6;

Model made_model() {
  ModelSpec spec;
  spec.encoder.depth = 18;
  spec.encoder.width = 4;
  spec.encoder.stem = Stem::kCifar;
  spec.head = HeadSpec{.widths = {kUnits}};
  Model model(spec, false);
  model.parameters().initialise(1);
  return model;
}

ViewPairSpec spec_of(std::int64_t batch, int workers = 1) {
  ViewPairSpec spec;
  spec.augment.size = kSize;
  spec.seed = 5;
  spec.batch = batch;
  spec.workers = workers;
  return spec;
}

// Both views' embeddings of each image, by its number; and in which order.
struct Streamed {
  std::map<std::int64_t, std::vector<float>> rows;
  std::vector<std::int64_t> order;
  FeatureSummary summary;
};
Streamed streamed(Model& model, const data::Dataset& dataset,
                  const ViewPairSpec& spec) {
  Streamed s;
  s.summary = stream_view_pairs(model, dataset, spec, [&](const ViewPairRows& r) {
    REQUIRE(std::ssize(r.samples) == r.n);
    CHECK(r.width == kUnits);
    for (std::int64_t i = 0; i < r.n; ++i) {
      std::vector<float>& row = s.rows[r.samples[static_cast<std::size_t>(i)]];
      for (const float* view : r.views)
        row.insert(row.end(), view + i * r.width, view + (i + 1) * r.width);
      s.order.push_back(r.samples[static_cast<std::size_t>(i)]);
    }
  });
  return s;
}

TEST_SUITE("view_pairs") {
  TEST_CASE("the network's word on the views that training's loader makes") {
    Model model = made_model();
    const Made images(7);
    const ViewPairSpec spec = spec_of(7);
    data::LoaderSpec loading;
    loading.augment = spec.augment;
    loading.seed = spec.seed;
    loading.batch = 7;
    data::Loader loader(images, loading);
    const data::Batch& batch = loader.next();
    FeatureExecutable network(model, 14, kSize, spec.pixels, FeatureKind::kEmbedding);
    std::vector<float> expected(14 * kUnits);
    network.run(batch.pixels.data, 14, expected.data());
    const Streamed s = streamed(model, images, spec);
    REQUIRE(s.rows.size() == 7);
    for (std::size_t i = 0; i < 7; ++i) {
      CHECK(s.order[i] == batch.samples[i]);
      for (std::size_t view = 0; view < 2; ++view)
        for (std::size_t d = 0; d < kUnits; ++d)
          CHECK(s.rows.at(s.order[i])[view * kUnits + d] ==
                expected[(view * 7 + i) * kUnits + d]);
    }
    // Two views, not one twice.
    CHECK(s.rows.at(0)[0] != s.rows.at(0)[kUnits]);
  }

  TEST_CASE("every image once, the same views for any batch and workers") {
    Model model = made_model();
    const Made images(11);
    const Streamed whole = streamed(model, images, spec_of(11));
    CHECK(whole.summary.count == 11);
    for (const std::int64_t batch : {1, 4, 100}) {
      const Streamed parts = streamed(model, images, spec_of(batch, 3));
      CHECK(parts.order == whole.order);
      REQUIRE(parts.rows.size() == 11);
      for (const auto& [sample, row] : whole.rows)
        for (std::size_t d = 0; d < row.size(); ++d)
          CHECK(near(parts.rows.at(sample)[d], row[d], 1e-4));
    }
  }

  TEST_CASE("another image stands for one that cannot be read, and it is listed") {
    Model model = made_model();
    const Streamed s = streamed(model, Made(40, {3, 17}), spec_of(16));
    CHECK(s.summary.count == 40);
    CHECK(s.rows.size() == 40);
    std::vector<std::int64_t> bad;
    for (const data::BadSample& b : s.summary.bad) bad.push_back(b.sample);
    std::ranges::sort(bad);
    CHECK(bad == std::vector<std::int64_t>{3, 17});
  }
}

}  // namespace
