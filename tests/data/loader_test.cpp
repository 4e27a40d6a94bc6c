// The promise of the loaders: the same bytes for any number of workers, from
// any start, bad images included.

#include <doctest/doctest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "data/augment.h"
#include "data/jpeg.h"
#include "data/loader.h"
#include "data/sampler.h"
#include "engine/core/error.h"

TEST_SUITE("loader") {
  using namespace music::data;

  // Images made from their number; some are bad.
  class Made : public Dataset {
   public:
    explicit Made(std::int64_t n, std::set<std::int64_t> bad = {})
        : n_(n), bad_(std::move(bad)), classes_{"even", "odd"} {}

    std::int64_t size() const override { return n_; }
    const std::vector<std::string>& classes() const override {
      return classes_;
    }
    int label(std::int64_t i) const override { return static_cast<int>(i % 2); }
    std::string name(std::int64_t i) const override {
      return "image " + std::to_string(i);
    }
    void read(std::int64_t i, Image& image) const override {
      ++reads;
      if (bad_.count(i))
        throw music::error(music::ExitCode::kData, "[made] number {} is bad",
                           i);
      if (i == breaks_at) throw std::logic_error("a bug");
      std::uint8_t* p = image.reset(20 + static_cast<int>(i % 7), 18);
      for (std::size_t k = 0; k < image.bytes(); ++k)
        p[k] = static_cast<std::uint8_t>(k * 7 +
                                         static_cast<std::size_t>(i) * 31);
    }

    mutable std::atomic<int> reads = 0;
    std::atomic<std::int64_t> breaks_at = -1;

   private:
    std::int64_t n_;
    std::set<std::int64_t> bad_;
    std::vector<std::string> classes_;
  };

  LoaderSpec spec(int workers, std::int64_t batch = 8) {
    LoaderSpec s;
    s.augment.size = 12;
    s.batch = batch;
    s.seed = 5;
    s.workers = workers;
    return s;
  }

  // The same images as files, of which fast mode reads parts.
  struct Files : Made {
    using Made::Made;
    bool read_file(std::int64_t i,
                   std::vector<std::uint8_t>& bytes) const override {
      Image image;
      Made::read(i, image);
      bytes = encode_jpeg(image, 90);
      return true;
    }
  };

  struct Seen {
    std::int64_t epoch, index;
    std::vector<std::int64_t> samples;
    std::vector<int> labels;
    std::vector<std::uint8_t> pixels;
    bool operator==(const Seen&) const = default;
  };

  Seen copy(const Batch& b) {
    const auto pixels = b.pixels.span<std::uint8_t>();
    return {b.epoch, b.index, b.samples, b.labels,
            {pixels.begin(), pixels.end()}};
  }

  std::vector<Seen> take(Loader& loader, int n) {
    std::vector<Seen> seen;
    for (int i = 0; i < n; ++i) seen.push_back(copy(loader.next()));
    return seen;
  }

  std::string failure_of(Loader& loader, int n) {
    try {
      take(loader, n);
    } catch (const music::Error& failure) {
      CHECK(failure.code() == music::ExitCode::kData);
      return failure.what();
    }
    return "no error";
  }

  TEST_CASE("1, 2 and 5 workers give the same bytes, bad images or not") {
    for (const auto& bad : {std::set<std::int64_t>{},
                            std::set<std::int64_t>{3, 17, 20}}) {
      const Made data(35, bad);
      Loader one(data, spec(1));
      const auto reference = take(one, 12);  // over two epochs of five
      CHECK(one.quarantine().size() == bad.size());
      for (int workers : {2, 5}) {
        Loader many(data, spec(workers));
        CHECK(take(many, 12) == reference);
        REQUIRE(many.quarantine().size() == one.quarantine().size());
        for (std::size_t i = 0; i < bad.size(); ++i)
          CHECK(many.quarantine()[i].sample == one.quarantine()[i].sample);
      }
    }
  }

  TEST_CASE("a batch is what sampler and augmentation say") {
    const Made data(35);
    Loader loader(data, spec(2));
    CHECK(loader.batches_per_epoch() == 5);
    CHECK(loader.batch_total(4) == 3);
    Sampler sampler(35, 8, 5);
    AugmentScratch scratch;
    Image image;
    std::vector<std::uint8_t> view(3 * 12 * 12);
    std::vector<std::int64_t> samples;
    for (int i = 0; i < 7; ++i) {
      const Batch& b = loader.next();
      CHECK(b.epoch == i / 5);
      CHECK(b.index == i % 5);
      sampler.indices(b.epoch, b.index, samples);
      CHECK(b.samples == samples);
      REQUIRE(b.n == (i == 4 ? 3 : 8));
      CHECK(b.total == b.n);
      REQUIRE(b.pixels.shape == music::Shape{2 * b.n, 12, 12, 3});
      for (std::int64_t v = 0; v < 2; ++v)
        for (std::int64_t row = 0; row < b.n; ++row) {
          const std::int64_t s = samples[static_cast<std::size_t>(row)];
          CHECK(b.labels[static_cast<std::size_t>(row)] == s % 2);
          data.read(s, image);
          const AugmentSpec augment = spec(1).augment;
          apply_view(image,
                     sample_view(augment, 5,
                                 static_cast<std::uint32_t>(b.epoch),
                                 static_cast<std::uint32_t>(s),
                                 static_cast<int>(v), image.width(),
                                 image.height()),
                     augment, view.data(), scratch);
          CHECK(std::memcmp(view.data(),
                            b.pixels.as<std::uint8_t>() +
                                (v * b.n + row) * 3 * 12 * 12,
                            view.size()) == 0);
        }
    }
  }

  TEST_CASE("one view is the first of two; labels are a tensor") {
    const Files data(35, {3, 17});
    for (const AugmentMode mode : {AugmentMode::kExact, AugmentMode::kFast}) {
      LoaderSpec two = spec(2);
      two.augment.mode = mode;
      two.bad_image = mode == AugmentMode::kFast ? BadImage::kZero
                                                 : BadImage::kSkip;
      LoaderSpec one = two;
      one.views = 1;
      LoaderSpec alone = one;
      alone.workers = 1;
      Loader pairs(data, two), first(data, one), same(data, alone);
      CHECK(first.batches_per_epoch() == pairs.batches_per_epoch());
      std::size_t compared = 0;
      for (int i = 0; i < 7; ++i) {
        const Batch &b = first.next(), &whole = pairs.next();
        REQUIRE(b.pixels.shape == music::Shape{b.n, 12, 12, 3});
        CHECK(copy(b) == copy(same.next()));
        CHECK(b.samples == whole.samples);
        CHECK(b.labels == whole.labels);
        CHECK(std::memcmp(b.pixels.data, whole.pixels.data,
                          b.pixels.bytes()) == 0);
        compared += b.pixels.bytes();
        const music::Tensor labels = b.label_tensor();
        CHECK(labels.shape == music::Shape{b.n});
        CHECK(labels.as<std::int32_t>() == b.labels.data());
      }
      CHECK(compared == (35 + 16) * 3 * 12 * 12);
    }
    LoaderSpec three = spec(1);
    three.views = 3;
    CHECK_THROWS_WITH_AS(Loader(data, three),
                         "[loader] 3 views, expected 1 or 2", music::Error);
  }

  TEST_CASE("a short last batch is left out where that is asked for") {
    const Made data(35);
    LoaderSpec s = spec(2);
    s.drop_last = true;
    Loader whole(data, s), some(data, spec(1));
    CHECK(whole.batches_per_epoch() == 4);
    CHECK(whole.batch_total(3) == 8);
    const auto expected = take(some, 10);  // of five an epoch
    auto seen = take(whole, 8);
    for (std::size_t i = 0; i < seen.size(); ++i)
      CHECK(seen[i] == expected[i + i / 4]);
    whole.seek(1, 4);
    CHECK(whole.next().epoch == 2);
    // Nothing is short of an epoch of whole batches, on any number of ranks.
    for (const int world : {1, 3}) {
      s.world = world;
      CHECK(Loader(Made(40), s).batches_per_epoch() == 5);
    }
    s.world = 1;
    CHECK_THROWS_WITH_AS(
        Loader(Made(7), s),
        "[sampler] 7 samples and no short batches of 8, expected at least one "
        "batch", music::Error);
  }

  TEST_CASE("seek continues as if nothing had happened") {
    const Made data(35, {3, 17, 20});
    Loader straight(data, spec(2));
    const auto all = take(straight, 12);
    for (int from : {0, 1, 4, 5, 7}) {
      Loader resumed(data, spec(2));
      resumed.seek(from / 5, from % 5);
      CHECK(take(resumed, 2) == std::vector<Seen>(all.begin() + from,
                                                  all.begin() + from + 2));
      resumed.seek(0, 2);  // back, with batches under way
      CHECK(copy(resumed.next()) == all[2]);
    }
    straight.seek(0, 5);  // the end of an epoch is the start of the next
    CHECK(copy(straight.next()) == all[5]);
    CHECK_THROWS_AS(straight.seek(0, 6), music::Error);
  }

  // Batches of 8, 8, 8, 8 and 5 samples, on ranks and worker threads that do
  // not divide them; some images are bad.
  TEST_CASE("any number of ranks and workers sees what one process sees") {
    const Made data(37, {3, 17, 20});
    using Images = std::set<std::pair<std::int64_t, std::vector<std::uint8_t>>>;
    const auto add = [](const Batch& b, Images& to) {
      const std::int64_t bytes = 3 * 12 * 12;
      for (std::int64_t i = 0; i < 2 * b.n; ++i) {
        const auto* p = b.pixels.as<std::uint8_t>() + i * bytes;
        // The view tells the two apart where both crops are the same.
        to.insert({2 * b.samples[static_cast<std::size_t>(i % b.n)] + i / b.n,
                   {p, p + bytes}});
      }
    };
    std::vector<Images> whole(7);  // over the end of an epoch
    Loader one(data, spec(1));
    for (Images& step : whole) add(one.next(), step);
    for (int world = 2; world <= 5; ++world) {
      CAPTURE(world);
      std::vector<Images> parts(whole.size());
      for (int rank = 0; rank < world; ++rank) {
        LoaderSpec s = spec(1 + (rank + world) % 4);
        s.rank = rank;
        s.world = world;
        Loader part(data, s);
        for (std::size_t i = 0; i < parts.size(); ++i) {
          const Batch& b = part.next();
          CHECK(b.total == (i == 4 ? 5 : 8));
          add(b, parts[i]);
        }
      }
      CHECK(parts == whole);
    }
  }

  TEST_CASE("a bad image is replaced, recorded once, and keeps its number") {
    const Made data(20, {4});
    Loader loader(data, spec(2, 20));
    for (int epoch = 0; epoch < 3; ++epoch) {
      const Batch& b = loader.next();
      CHECK(std::count(b.samples.begin(), b.samples.end(), 4) == 1);
    }
    REQUIRE(loader.quarantine().size() == 1);
    const BadSample& bad = loader.quarantine()[0];
    CHECK(bad.epoch == 0);
    CHECK(bad.sample == 4);
    CHECK(bad.name == "image 4");
    CHECK(bad.reason == "[made] number 4 is bad");
  }

  TEST_CASE("too many bad images are an error; three never are") {
    const Made three(8, {0, 1, 2});
    Loader fine(three, spec(1));
    take(fine, 6);
    const Made four(8, {0, 1, 2, 3});
    Loader bad(four, spec(1));
    CHECK(failure_of(bad, 1).find("4 of the epoch's 8 images cannot be read") !=
          std::string::npos);
    CHECK(failure_of(bad, 1) != "no error");  // again
    std::set<std::int64_t> tenth, more;
    for (std::int64_t i = 0; i < 10; ++i) tenth.insert(i * 10);
    more = tenth;
    more.insert(55);
    const Made hundred(100, tenth), hundred_more(100, more);
    Loader allowed(hundred, spec(2)), refused(hundred_more, spec(2));
    CHECK(failure_of(allowed, 26) == "no error");
    CHECK(failure_of(refused, 13) != "no error");
  }

  TEST_CASE("nothing readable at all: an error, not a hang") {
    const Made data(2, {0, 1});
    Loader loader(data, spec(2));
    CHECK(failure_of(loader, 1) ==
          "[loader] image 0 cannot be read, nor can 16 images drawn in its "
          "place: [made] number 1 is bad");
  }

  TEST_CASE("the share of bad images counts on after a resume") {
    // Five of 100 are bad, four are allowed; one comes in each batch.
    std::set<std::int64_t> five;
    const auto order = permutation(100, 5, 1);  // of epoch 1
    for (std::size_t b = 0; b < 5; ++b) five.insert(order[b * 20]);
    const Made data(100, five);
    LoaderSpec s = spec(2, 20);
    s.bad_share = 0.045;
    Loader straight(data, s);
    straight.seek(1, 0);
    CHECK(failure_of(straight, 4) == "no error");
    CHECK(failure_of(straight, 1) != "no error");
    for (std::int64_t from : {1, 3, 4}) {
      Loader resumed(data, s);
      std::vector<std::int64_t> before;
      for (std::int64_t b = 0; b < from; ++b)
        before.push_back(order[static_cast<std::size_t>(b) * 20]);
      resumed.recall(before);
      resumed.seek(1, from);
      CHECK(failure_of(resumed, static_cast<int>(4 - from)) == "no error");
      CHECK(failure_of(resumed, 1).find("5 of the epoch's 100 images") !=
            std::string::npos);
      // Those of before are not listed again.
      CHECK(resumed.quarantine().size() == 5 - before.size());
    }
    // What is known to be bad later in the epoch is no count of its own.
    Loader ahead(data, s);
    ahead.recall(std::vector<std::int64_t>(five.begin(), five.end()));
    ahead.seek(1, 2);
    CHECK(failure_of(ahead, 2) == "no error");
    CHECK(failure_of(ahead, 1) != "no error");
    // Within one process too.
    straight.seek(1, 4);
    CHECK(failure_of(straight, 1) != "no error");
  }

  TEST_CASE("policy zero: black pixels, recorded, under its own label") {
    const Made data(20, {5});
    LoaderSpec s = spec(2, 20);
    s.bad_image = BadImage::kZero;
    Loader loader(data, s);
    const Batch& b = loader.next();
    for (std::int64_t row = 0; row < 20; ++row) {
      const auto at = static_cast<std::size_t>(row);
      CHECK(b.labels[at] == b.samples[at] % 2);
      for (std::int64_t view = 0; view < 2; ++view) {
        const auto* p =
            b.pixels.as<std::uint8_t>() + (view * 20 + row) * 3 * 12 * 12;
        const bool black = std::all_of(p, p + 3 * 12 * 12,
                                       [](std::uint8_t v) { return v == 0; });
        CHECK(black == (b.samples[at] == 5));
      }
    }
    REQUIRE(loader.quarantine().size() == 1);
    CHECK(loader.quarantine()[0].sample == 5);

    EvalLoaderSpec e;
    e.eval.resize = e.eval.size = 12;
    e.bad_image = BadImage::kZero;
    EvalLoader all(data, e);
    const Batch* one = all.next();
    REQUIRE(one->n == 20);
    CHECK(one->labels[5] == 1);
    CHECK(one->pixels.as<std::uint8_t>()[5 * 3 * 12 * 12 + 7] == 0);
    CHECK(all.quarantine().size() == 1);
  }

  TEST_CASE("an image that takes long is warned of, but not every one") {
    std::ostringstream said;
    const auto before = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(said)));
    const Made data(20);
    LoaderSpec s = spec(2);
    s.slow_seconds = 3600;  // however busy the machine
    Loader quick(data, s);
    take(quick, 2);
    CHECK(said.str().empty());
    s.slow_seconds = 0;
    {
      Loader slow(data, s);
      take(slow, 4);
    }
    spdlog::set_default_logger(before);
    CHECK(said.str().find("[loader] image ") != std::string::npos);
    CHECK(said.str().find("s to read") == said.str().rfind("s to read"));
  }

  TEST_CASE("policy abort names the first bad image") {
    const Made data(20, {4});
    LoaderSpec s = spec(2, 20);
    s.bad_image = BadImage::kAbort;
    Loader loader(data, s);
    CHECK(failure_of(loader, 1) == "[loader] image 4: [made] number 4 is bad");
  }

  TEST_CASE("other exceptions of a worker come out of next, in order") {
    Made data(40);
    data.breaks_at = permutation(40, 5, 0)[17];  // in the third batch
    Loader loader(data, spec(3));
    take(loader, 2);
    CHECK_THROWS_AS(loader.next(), std::logic_error);
    CHECK_THROWS_AS(loader.next(), std::logic_error);
    data.breaks_at = -1;
    loader.seek(0, 2);
    CHECK(loader.next().index == 2);
  }

  TEST_CASE("destroyed at any moment, used or not") {
    const Made data(64);
    for (int n = 0; n < 6; ++n) {
      Loader loader(data, spec(4));
      take(loader, n);
    }
  }

  TEST_CASE("never more than two batches ahead") {
    const Made data(1000);
    Loader loader(data, spec(3));
    take(loader, 4);
    loader.seek(0, 0);
    CHECK(data.reads <= (4 + 2) * 8);
    CHECK(loader.stats().batches == 4);
    CHECK(loader.stats().samples == 32);
    CHECK(loader.stats().wait_seconds > 0);
  }

  TEST_CASE("evaluation of processes: consecutive parts, together every image") {
    const Made data(35, {0, 9, 34});
    for (const int world : {1, 2, 4, 40}) {
      std::vector<std::int64_t> seen;
      for (int rank = 0; rank < world; ++rank) {
        EvalLoaderSpec s;
        s.eval.resize = s.eval.size = 12;
        s.batch = 4;
        s.rank = rank;
        s.world = world;
        EvalLoader loader(data, s);
        while (const Batch* b = loader.next())
          seen.insert(seen.end(), b->samples.begin(), b->samples.end());
      }
      CHECK(seen.size() == 32);
      CHECK(std::is_sorted(seen.begin(), seen.end()));
      CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
    }
  }

  // Short side to 14, then both to 12; tools/peers/check_features.py compares real
  // photographs with torchvision.
  TEST_CASE("a squashed view is two resizes, and shows the whole image") {
    AugmentScratch scratch;
    Resizer resizer;
    for (const auto& [width, height, w, h] :
         std::initializer_list<std::array<int, 4>>{
             {40, 20, 28, 14}, {20, 33, 14, 23}, {9, 9, 14, 14}}) {
      Image image, between;
      std::uint8_t* p = image.reset(width, height);
      for (int i = 0; i < 3 * width * height; ++i)
        p[i] = static_cast<std::uint8_t>((i * 7919) >> 3);
      std::vector<std::uint8_t> view(3 * 12 * 12), expected(view.size());
      squash_view(image, 14, 12, Interpolation::kBilinear, view.data(), scratch);
      resizer.run(image, {0, 0, width, height}, w, h, {0, 0, w, h}, false,
                  Interpolation::kBilinear, between.reset(w, h));
      resizer.run(between, {0, 0, w, h}, 12, 12, {0, 0, 12, 12}, false,
                  Interpolation::kBilinear, expected.data());
      CHECK(view == expected);
    }
    Image strip;
    strip.reset(1, 60000);
    std::vector<std::uint8_t> view(3 * 12 * 12);
    CHECK_THROWS_WITH(
        squash_view(strip, 256, 12, Interpolation::kBilinear, view.data(), scratch),
        "1 x 60000 pixels become 256 x 15360000, expected 178956970 pixels at most");
  }

  TEST_CASE("evaluation: every image once, in order, bad ones left out") {
    const Made data(35, {0, 9, 34});
    for (int workers : {1, 2, 5}) {
      EvalLoaderSpec s;
      s.eval.resize = 14;
      s.eval.size = 12;
      s.batch = 8;
      s.workers = workers;
      EvalLoader loader(data, s);
      AugmentScratch scratch;
      Image image;
      std::vector<std::uint8_t> view(3 * 12 * 12);
      std::int64_t expected = 1;
      while (const Batch* b = loader.next()) {
        REQUIRE(b->pixels.shape == music::Shape{b->n, 12, 12, 3});
        REQUIRE(static_cast<std::int64_t>(b->samples.size()) == b->n);
        for (std::int64_t row = 0; row < b->n; ++row, ++expected) {
          if (expected == 9) ++expected;
          const auto at = static_cast<std::size_t>(row);
          CHECK(b->samples[at] == expected);
          CHECK(b->labels[at] == expected % 2);
          data.read(expected, image);
          eval_view(image, 14, 12, s.eval.interpolation, view.data(), scratch);
          CHECK(std::memcmp(view.data(),
                            b->pixels.as<std::uint8_t>() + row * 3 * 12 * 12,
                            view.size()) == 0);
        }
      }
      CHECK(expected == 34);
      CHECK(loader.next() == nullptr);
      CHECK(loader.quarantine().size() == 3);
    }
  }
}
