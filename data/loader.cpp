#include "data/loader.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "data/augment.h"
#include "data/batch_ring.h"
#include "data/sampler.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "engine/core/shard.h"

namespace music::data {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReplacements = 16;  // draws before giving up

// What was bad in the batches delivered, and whether it is too much.
class Quarantine {
 public:
  // of all ranks
  Quarantine(std::int64_t epoch_samples, double share)
      : samples_(epoch_samples), share_(share) {}

  // place(row): of a row of the batch, in the epoch.
  template <typename Place>
  void add(const FilledBatch& filled, Place place) {
    const Batch& batch = filled.batch;
    if (batch.epoch != epoch_) count_ = 0;
    epoch_ = batch.epoch;
    for (const FilledBatch::Bad& bad : filled.bad) {
      if (known_.insert(bad.sample.sample).second) {
        list_.push_back(bad.sample);
        list_.back().place = place(bad.row);
      }
      // A failed replacement is recorded, but it is not a sample of its own.
      if (bad.sample.sample == batch.samples[static_cast<std::size_t>(bad.row)])
        ++count_;
    }
    if (!filled.bad.empty())
      check_bad(count_, samples_, share_,
                fmt::format("{}: {}", filled.bad.back().sample.name,
                            filled.bad.back().sample.reason));
  }
  std::int64_t count() const { return count_; }
  const std::vector<BadSample>& list() const { return list_; }
  std::set<std::int64_t>& known() { return known_; }
  // Goes on within an epoch that had so many bad images.
  void restart(std::int64_t epoch, std::int64_t count) {
    epoch_ = epoch;
    count_ = count;
  }

 private:
  std::int64_t samples_, epoch_ = -1, count_ = 0;
  double share_;
  std::set<std::int64_t> known_;
  std::vector<BadSample> list_;
};

// Warns of images that take long, at most once in ten seconds: all are slow
// when a file system is.
class SlowImages {
 public:
  explicit SlowImages(double limit) : limit_(limit) {}

  void check(const Dataset& dataset, std::int64_t sample,
             Clock::duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    if (seconds <= limit_) return;
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    ++unsaid_;
    if (said_ && now - *said_ < std::chrono::seconds(10)) return;
    spdlog::warn("[loader] {} took {:.1f} s to read{}", dataset.name(sample),
                 seconds,
                 unsaid_ > 1 ? fmt::format(", as did {} others", unsaid_ - 1)
                             : "");
    said_ = now;
    unsaid_ = 0;
  }

 private:
  const double limit_;
  std::mutex mutex_;
  std::optional<Clock::time_point> said_;
  std::int64_t unsaid_ = 0;
};

// Runs read, which reads sample; false: it is bad and now recorded. An error
// that is not of the image's making passes.
template <typename Read>
bool try_read(const Dataset& dataset, std::int64_t sample, BadImage policy,
              const Batch& batch, std::int64_t row, Read read,
              std::vector<FilledBatch::Bad>& bad, SlowImages& slow) {
  try {
    const Clock::time_point begin = Clock::now();
    read();
    slow.check(dataset, sample, Clock::now() - begin);
    return true;
  } catch (const Error& failure) {
    if (failure.code() != ExitCode::kData) throw;
    const std::string name = dataset.name(sample);
    if (policy == BadImage::kAbort)
      throw error(ExitCode::kData, "[loader] {}: {}", name, failure.what());
    bad.push_back({row, {batch.epoch, sample, name, failure.what(), 0}});
    return false;
  }
}

std::int64_t view_bytes(const Batch& batch) {
  const Shape& s = batch.pixels.shape;
  return s[1] * s[2] * s[3];
}

std::uint8_t* pixels_of(const Batch& batch, std::int64_t image) {
  return batch.pixels.as<std::uint8_t>() + image * view_bytes(batch);
}

// What kZero shows of a bad image.
void blacken(Batch& batch, std::int64_t row, std::int64_t views,
             const Dataset& dataset) {
  const auto at = static_cast<std::size_t>(row);
  batch.labels[at] = dataset.label(batch.samples[at]);
  for (std::int64_t view = 0; view < views; ++view)
    std::memset(pixels_of(batch, view * batch.n + row), 0,
                static_cast<std::size_t>(view_bytes(batch)));
}

}  // namespace

class Loader::Source : public BatchSource {
 public:
  Source(const Dataset& dataset, const LoaderSpec& spec)
      : dataset(dataset), spec(spec),
        sampler(dataset.size(), spec.batch, spec.seed, spec.rank, spec.world,
                spec.drop_last),
        quarantine(sampler.samples_per_epoch(), spec.bad_share),
        slow(spec.slow_seconds) {
    MUSIC_CHECK(spec.views == 1 || spec.views == 2,
                "[loader] {} views, expected 1 or 2", spec.views);
  }

  bool plan(Batch& batch) override {
    batch.epoch = epoch;
    batch.index = index;
    batch.total = sampler.batch_total(index);
    sampler.indices(epoch, index, batch.samples);
    if (++index == sampler.batches_per_epoch()) {
      ++epoch;
      index = 0;
    }
    return true;
  }

  void fill(Batch& batch, std::int64_t row, WorkerScratch& scratch,
            std::vector<FilledBatch::Bad>& bad) const override {
    const auto at = static_cast<std::size_t>(row);
    const std::int64_t sample = batch.samples[at];
    const auto epoch32 = static_cast<std::uint32_t>(batch.epoch);
    const auto sample32 = static_cast<std::uint32_t>(sample);
    ViewPair pair;
    const auto views =
        std::span(pair).first(static_cast<std::size_t>(spec.views));
    const auto read = [&](std::int64_t i) {
      return try_read(
          dataset, i, spec.bad_image, batch, row,
          [&] { read_views(i, epoch32, sample32, scratch, views); }, bad, slow);
    };
    std::int64_t shown = sample;
    if (!read(shown)) {
      if (spec.bad_image == BadImage::kZero)
        return blacken(batch, row, spec.views, dataset);
      Rng rng(spec.seed, RngPurpose::kReplace, epoch32, sample32);
      int draws = 0;
      do {
        if (draws++ == kReplacements)
          throw error(ExitCode::kData,
                      "[loader] {} cannot be read, nor can {} images drawn in "
                      "its place: {}",
                      dataset.name(sample), kReplacements,
                      bad.empty() ? "" : bad.back().sample.reason);
        shown = rng.below(static_cast<std::uint32_t>(dataset.size()));
      } while (shown == sample || !read(shown));
    }
    batch.labels[at] = dataset.label(shown);
    for (std::size_t view = 0; view < views.size(); ++view)
      apply_view(scratch.image, views[view], spec.augment,
                 pixels_of(batch, static_cast<std::int64_t>(view) * batch.n +
                                      row),
                 scratch.augment);
  }

  // Reads image i, in fast mode no more of it than the views need: those of the
  // sample it stands for, their crops within scratch.image.
  void read_views(std::int64_t i, std::uint32_t epoch32, std::uint32_t sample32,
                  WorkerScratch& scratch,
                  std::span<ViewParameters> views) const {
    const auto draw = [&](const auto& sized) {
      for (std::size_t v = 0; v < views.size(); ++v)
        views[v] = sample_view(spec.augment, spec.seed, epoch32, sample32,
                               static_cast<int>(v), sized.width(),
                               sized.height());
    };
    if (spec.augment.mode == AugmentMode::kFast &&
        dataset.read_file(i, scratch.file)) {
      scratch.reader.open(scratch.file);
      draw(scratch.reader);
      move_crops(views, scratch.reader.read(join_crops(views), scratch.image));
      return;
    }
    dataset.read(i, scratch.image);
    draw(scratch.image);
  }

  // Bad images among the first batches of an epoch.
  std::int64_t count_bad(std::int64_t in_epoch, std::int64_t batches) {
    if (quarantine.known().empty()) return 0;
    std::int64_t count = 0;
    std::vector<std::int64_t> samples;
    for (std::int64_t b = 0; b < batches; ++b) {
      sampler.indices(in_epoch, b, samples);
      for (const std::int64_t s : samples)
        count += quarantine.known().contains(s);
    }
    return count;
  }

  const Dataset& dataset;
  const LoaderSpec spec;
  Sampler sampler;
  Quarantine quarantine;
  mutable SlowImages slow;
  std::int64_t epoch = 0, index = 0;  // of the next batch to plan
};

Loader::Loader(const Dataset& dataset, const LoaderSpec& spec)
    : source_(std::make_unique<Source>(dataset, spec)),
      ring_(std::make_unique<BatchRing>(
          *source_,
          std::max<std::int64_t>(
              1, shard_size(spec.batch, spec.rank, spec.world)),
          spec.views, spec.augment.size, spec.workers, spec.memory)) {}

Loader::~Loader() = default;

void Loader::seek(std::int64_t epoch, std::int64_t index) {
  const std::int64_t batches = batches_per_epoch();
  MUSIC_CHECK(epoch >= 0 && index >= 0 && index <= batches,
              "[loader] cannot seek to epoch {}, batch {} of {}", epoch, index,
              batches);
  ring_->stop();
  source_->epoch = epoch + index / batches;
  source_->index = index % batches;
  source_->quarantine.restart(
      source_->epoch, source_->count_bad(source_->epoch, source_->index));
}

void Loader::recall(std::span<const std::int64_t> bad) {
  source_->quarantine.known().insert(bad.begin(), bad.end());
}

const Batch& Loader::next() {
  const FilledBatch* filled = ring_->next();
  const LoaderSpec& spec = source_->spec;
  source_->quarantine.add(*filled, [&](std::int64_t row) {
    return filled->batch.index * spec.batch + spec.rank + spec.world * row;
  });
  ++ring_->stats().batches;
  ring_->stats().samples += filled->batch.n;
  return filled->batch;
}

std::int64_t Loader::batches_per_epoch() const {
  return source_->sampler.batches_per_epoch();
}
std::int64_t Loader::batch_total(std::int64_t index) const {
  return source_->sampler.batch_total(index);
}
const std::vector<BadSample>& Loader::quarantine() const {
  return source_->quarantine.list();
}
std::int64_t Loader::bad_in_epoch() const { return source_->quarantine.count(); }
std::int64_t Loader::samples_per_epoch() const {
  return source_->sampler.samples_per_epoch();
}
const LoaderStats& Loader::stats() const { return ring_->stats(); }

class EvalLoader::Source : public BatchSource {
 public:
  Source(const Dataset& dataset, const EvalLoaderSpec& spec)
      : dataset(dataset), spec(spec),
        begin(dataset.size() * spec.rank / spec.world),
        end(dataset.size() * (spec.rank + 1) / spec.world),
        quarantine(dataset.size(), spec.bad_share),
        slow(spec.slow_seconds) {}

  bool plan(Batch& batch) override {
    const std::int64_t first = begin + index * spec.batch;
    if (first >= end) return false;
    batch.index = index++;
    batch.samples.clear();
    for (std::int64_t i = first; i < std::min(first + spec.batch, end); ++i)
      batch.samples.push_back(i);
    return true;
  }

  void fill(Batch& batch, std::int64_t row, WorkerScratch& scratch,
            std::vector<FilledBatch::Bad>& bad) const override {
    const auto at = static_cast<std::size_t>(row);
    const std::int64_t sample = batch.samples[at];
    const auto read = [&] {
      dataset.read(sample, scratch.image);
      const auto view = spec.eval.squash ? squash_view : eval_view;
      view(scratch.image, spec.eval.resize, spec.eval.size,
           {spec.eval.interpolation, spec.eval.pillow}, pixels_of(batch, row), scratch.augment);
    };
    if (!try_read(dataset, sample, spec.bad_image, batch, row, read, bad, slow)) {
      if (spec.bad_image == BadImage::kZero) blacken(batch, row, 1, dataset);
      return;
    }
    batch.labels[at] = dataset.label(sample);
  }

  const Dataset& dataset;
  const EvalLoaderSpec spec;
  const std::int64_t begin, end;
  Quarantine quarantine;
  mutable SlowImages slow;
  std::int64_t index = 0;  // of the next batch to plan
};

EvalLoader::EvalLoader(const Dataset& dataset, const EvalLoaderSpec& spec)
    : source_(std::make_unique<Source>(dataset, spec)),
      ring_(std::make_unique<BatchRing>(*source_, spec.batch, 1, spec.eval.size,
                                        spec.workers)) {}

EvalLoader::~EvalLoader() = default;

const Batch* EvalLoader::next() {
  while (FilledBatch* filled = ring_->next()) {
    source_->quarantine.add(*filled, [&](std::int64_t row) {
      return filled->batch.samples[static_cast<std::size_t>(row)];
    });
    Batch& batch = filled->batch;
    // Close the gaps that images left out have left.
    std::int64_t kept = 0;
    auto bad = source_->spec.bad_image == BadImage::kZero
                   ? filled->bad.end()
                   : filled->bad.begin();
    const auto row_bytes = static_cast<std::size_t>(
        batch.pixels.elements() / std::max<std::int64_t>(batch.n, 1));
    for (std::int64_t row = 0; row < batch.n; ++row) {
      if (bad != filled->bad.end() && bad->row == row) {
        ++bad;
        continue;
      }
      if (kept != row) {
        const auto to = static_cast<std::size_t>(kept);
        const auto from = static_cast<std::size_t>(row);
        std::memcpy(pixels_of(batch, kept), pixels_of(batch, row), row_bytes);
        batch.samples[to] = batch.samples[from];
        batch.labels[to] = batch.labels[from];
      }
      ++kept;
    }
    batch.n = kept;
    batch.samples.resize(static_cast<std::size_t>(kept));
    batch.labels.resize(static_cast<std::size_t>(kept));
    const Shape& s = batch.pixels.shape;
    batch.pixels.shape = {kept, s[1], s[2], s[3]};
    if (kept == 0) continue;
    ++ring_->stats().batches;
    ring_->stats().samples += kept;
    return &batch;
  }
  return nullptr;
}

const std::vector<BadSample>& EvalLoader::quarantine() const {
  return source_->quarantine.list();
}
const LoaderStats& EvalLoader::stats() const { return ring_->stats(); }

}  // namespace music::data
