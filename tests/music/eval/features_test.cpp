#include "music/eval/features.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/graph/executable.h"
#include "engine/io/state_dict.h"
#include "music/model/encoder_file.h"
#include "music/model/head_file.h"
#include "tests/support/made_images.h"
#include "tests/support/margin.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
using music::test::Made;
using music::test::near;
using music::test::Scratch;

ModelSpec small(std::optional<HeadSpec> head = {}) {
  ModelSpec spec;
  spec.encoder.depth = 18;
  spec.encoder.width = 4;
  spec.encoder.stem = Stem::kCifar;
  spec.head = std::move(head);
  return spec;
}

FeatureSpec spec_of(FeatureKind kind, int size = 32) {
  FeatureSpec spec;
  spec.eval.size = spec.eval.resize = size;
  spec.batch = 4;
  spec.kind = kind;
  return spec;
}

TEST_SUITE("features") {
  TEST_CASE("rows, numbers and labels agree where images are left out") {
    Model model(small(), false);
    model.parameters().initialise(1);
    const Made all(11), damaged(11, {0, 5, 10});
    const Features expected =
        extract_features(model, all, spec_of(FeatureKind::kPooled));
    CHECK(expected.width == 32);
    REQUIRE(expected.count == 11);
    std::vector<std::int64_t> seen;
    const FeatureSummary summary = stream_features(
        model, damaged, spec_of(FeatureKind::kPooled),
        [&](const FeatureRows& rows) {
          CHECK(rows.n <= 4);
          REQUIRE(std::ssize(rows.samples) == rows.n);
          REQUIRE(std::ssize(rows.labels) == rows.n);
          for (std::int64_t r = 0; r < rows.n; ++r) {
            const auto sample = rows.samples[static_cast<std::size_t>(r)];
            CHECK(rows.labels[static_cast<std::size_t>(r)] == sample % 3);
            for (std::int64_t j = 0; j < rows.width; ++j)
              CHECK(near(rows.values[r * rows.width + j],
                         expected.values[static_cast<std::size_t>(
                             sample * rows.width + j)], 1e-5));
            seen.push_back(sample);
          }
        });
    CHECK(seen == std::vector<std::int64_t>{1, 2, 3, 4, 6, 7, 8, 9});
    CHECK(summary.count == 8);
    REQUIRE(summary.bad.size() == 3);
    CHECK(summary.bad[1].sample == 5);
  }

  TEST_CASE("res5: two windows an axis, ordered channel, row, column") {
    Model model(small(), false);
    model.parameters().initialise(1);
    const Made images(3);
    const Features pooled =
        extract_features(model, images, spec_of(FeatureKind::kPooled));
    const Features res5 =
        extract_features(model, images, spec_of(FeatureKind::kRes5));
    REQUIRE(res5.width == 4 * pooled.width);
    // A 4 x 4 map: the four windows do not overlap, so their mean is the map's.
    for (std::int64_t i = 0; i < pooled.count * pooled.width; ++i) {
      double mean = 0;
      for (std::int64_t p = 0; p < 4; ++p)
        mean += res5.values[static_cast<std::size_t>(4 * i + p)] / 4.0;
      CHECK(near(mean, pooled.values[static_cast<std::size_t>(i)], 1e-5));
    }
  }

  TEST_CASE("res5 of a 7 x 7 map: windows of 6 x 6, as the protocol has them") {
    ModelSpec spec = small();
    Model model(spec, false);
    model.parameters().initialise(1);
    Graph g(model.parameters());
    const Value x = g.input("x", {1, 7, 7, 2}, DType::kF32);
    const Value y = ResNet::res5(g, x);
    g.keep(y);
    Executable run(std::move(g), model.parameters(),
                   executable_options_from_environment());
    Buffer arena(run.arena_bytes()), workspace(run.workspace_bytes());
    run.bind(arena.data(), workspace.data());
    std::vector<float> map(98);
    for (std::size_t i = 0; i < map.size(); ++i)
      map[i] = static_cast<float>((i * 37) % 101);
    run.set_input(x, map.data());
    run.run();
    const float* out = run.tensor(y).f32();
    for (int top = 0; top < 2; ++top)
      for (int left = 0; left < 2; ++left)
        for (int c = 0; c < 2; ++c) {
          double mean = 0;
          for (int i = 0; i < 6; ++i)
            for (int j = 0; j < 6; ++j)
              mean += map[static_cast<std::size_t>(
                          ((top + i) * 7 + left + j) * 2 + c)] / 36.0;
          CHECK(near(out[(top * 2 + left) * 2 + c], mean, 1e-5));
        }
  }

  TEST_CASE("parts in rank order are the whole") {
    Model model(small(), false);
    model.parameters().initialise(1);
    const Made images(7, {3});
    const Features whole =
        extract_features(model, images, spec_of(FeatureKind::kPooled));
    for (const int world : {1, 2, 3, 9}) {
      std::vector<int> labels;
      std::vector<float> values;
      for (int rank = 0; rank < world; ++rank) {
        FeatureSpec spec = spec_of(FeatureKind::kPooled);
        spec.rank = rank;
        spec.world = world;
        const Features part = extract_features(model, images, spec);
        labels.insert(labels.end(), part.labels.begin(), part.labels.end());
        values.insert(values.end(), part.values.begin(), part.values.end());
      }
      CHECK(labels == whole.labels);
      REQUIRE(values.size() == whole.values.size());
      for (std::size_t i = 0; i < values.size(); ++i)
        CHECK(near(values[i], whole.values[i], 1e-5));
    }
  }

  TEST_CASE("an embedding is what the saved projector makes of the features") {
    using LastNorm = HeadSpec::LastNorm;
    for (const HeadSpec& head :
         {HeadSpec{.widths = {24, 20}}, HeadSpec{.widths = {12, 16, 8}},
          HeadSpec{.widths = {6}, .last_bias = true},
          HeadSpec{.widths = {12, 8}, .bias = false, .last_norm = LastNorm::kPlain},
          HeadSpec{.widths = {12, 8}, .norm = false, .last_bias = true},
          HeadSpec{.widths = {12, 12, 8}, .bias = false,
                   .last_norm = LastNorm::kAffine}}) {
      Model model(small(head), false);
      model.parameters().initialise(5);
      const Scratch scratch;
      save_weights(model, scratch.path, {small().encoder, 32, {}}, {1, 1}, {});
      const auto path = scratch.path / "projector.safetensors";
      const SafetensorsFile file = SafetensorsFile::open(path);
      const HeadSpec read = read_head_spec(file, path.string(), 32);
      CHECK(read.widths == head.widths);
      if (head.widths.size() > 1) {
        CHECK(read.bias == head.bias);
        CHECK(read.norm == head.norm);
      }
      CHECK(read.last_bias == head.last_bias);
      CHECK(read.last_norm == head.last_norm);
      Model again(small(read), false);
      again.parameters().initialise(6);
      import_state(again.parameters(), Model::kEncoder,
                   SafetensorsFile::open(scratch.path / "encoder.safetensors"), "e");
      import_state(again.parameters(), Model::kHead, file, "p");
      const Made images(3);
      const FeatureSpec spec = spec_of(FeatureKind::kEmbedding);
      const Features a = extract_features(model, images, spec);
      CHECK(a.width == head.widths.back());
      CHECK(extract_features(again, images, spec).values == a.values);
    }
  }

  TEST_CASE("files that are no projector, or another encoder's") {
    Model model(small(HeadSpec{.widths = {24, 20}}), false);
    model.parameters().initialise(5);
    const Scratch scratch;
    save_weights(model, scratch.path, {small().encoder, 32, {}}, {1, 1}, {});
    const auto open = [&](const char* name, std::int64_t features) {
      read_head_spec(SafetensorsFile::open(scratch.path / name), name, features);
    };
    CHECK_THROWS_WITH(
        open("encoder.safetensors", 32),
        "[weights] encoder.safetensors: no matrix 0.weight, expected a projector: "
        "linear layers 0.weight, 3.weight, ... with batch norm between them");
    CHECK_THROWS_WITH(
        open("projector.safetensors", 64),
        "[weights] projector.safetensors: 0.weight takes 32 numbers where 64 come, "
        "expected a projector: linear layers 0.weight, 3.weight, ... with batch "
        "norm between them");
  }
}

}  // namespace
