#pragma once
// Loaders: worker threads decode and augment ahead of the consumer into an
// ordered ring of preallocated batches. What comes out is byte-identical for
// any number of workers, and from any start (exact resume).

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/augment_spec.h"
#include "data/bad_images.h"
#include "data/dataset.h"
#include "engine/core/buffer.h"
#include "engine/core/tensor.h"

namespace music::data {

// What becomes of an image that cannot be read. kSkip and kZero record it.
enum class BadImage {
  kSkip,   // another one takes its place; evaluation leaves it out
  kAbort,  // Error kData that names it
  kZero    // black pixels, under its own label
};

struct LoaderSpec {
  AugmentSpec augment;
  int views = 2;             // of each sample; 1: the first of the two
  std::int64_t batch = 256;  // samples of all ranks in a batch
  bool drop_last = false;    // leave out an epoch's short last batch
  std::uint64_t seed = 0;
  int workers = 1;           // threads, at least 1
  int rank = 0, world = 1;
  Memory memory = Memory::kHost;  // kPinned: for copies to a GPU
  // kSkip draws the replacement from (seed, epoch, sample). Error kData once
  // more than bad_allowed() of the epoch of all ranks were bad at this one; who
  // has several adds theirs up by check_bad().
  BadImage bad_image = BadImage::kSkip;
  double bad_share = 0.1;
  double slow_seconds = 2;  // reading an image longer than this is warned of
};

// Deterministic scoring input: Resize(short side), CenterCrop(size). An image
// that already is size x size with resize == size comes out unchanged.
struct EvalSpec {
  int resize = 256;
  int size = 224;
  Interpolation interpolation = Interpolation::kBilinear;
  int pillow = Resampling::kToday;
  // Resize([size, size]) in place of the crop: all of the image, its aspect lost.
  bool squash = false;
};

struct EvalLoaderSpec {
  EvalSpec eval;
  std::int64_t batch = 256;
  int workers = 1;
  int rank = 0, world = 1;  // one of `world` consecutive parts, nearly equal
  BadImage bad_image = BadImage::kSkip;
  double bad_share = 0.1;  // of all parts, as LoaderSpec's
  double slow_seconds = 2;
};

struct Batch {
  std::int64_t epoch = 0, index = 0;  // index within the epoch
  std::int64_t n = 0;                 // samples, of this rank
  std::int64_t total = 0;             // of all ranks
  // U8 [views * n, size, size, 3], RGB 0..255: all of view 1, then of view 2.
  Tensor pixels;
  std::vector<std::int64_t> samples;  // n; a replaced image keeps its number
  std::vector<int> labels;            // n; of the image shown, -1: none

  // I32 [n], the labels themselves.
  Tensor label_tensor() const {
    return {const_cast<int*>(labels.data()), {n}, DTypeOf<int>::value};
  }
};


struct LoaderStats {
  std::int64_t batches = 0, samples = 0;  // delivered
  double wait_seconds = 0;                // the consumer waited in next()
};

class BatchRing;

// Augmented views of every sample, without end: after the last batch of
// an epoch comes the first of the next. One consumer thread.
class Loader {
 public:
  Loader(const Dataset& dataset, const LoaderSpec& spec);
  ~Loader();

  // The next batch becomes (epoch, index); index == batches_per_epoch() means
  // the next epoch's first. Starts at (0, 0).
  void seek(std::int64_t epoch, std::int64_t index);
  // Images an earlier process found bad: not listed again, and those among the
  // batches that a later seek() passes over count towards bad_share.
  void recall(std::span<const std::int64_t> bad);
  // Valid until the next call of next() or seek(). Throws what a worker threw.
  const Batch& next();
  std::int64_t batches_per_epoch() const;
  std::int64_t batch_total(std::int64_t index) const;  // of all ranks
  // Bad images of the batches delivered, in order, each image once.
  const std::vector<BadSample>& quarantine() const;
  // Of this rank, in the epoch of the batch last delivered, up to it.
  std::int64_t bad_in_epoch() const;
  std::int64_t samples_per_epoch() const;  // of all ranks
  const LoaderStats& stats() const;

 private:
  class Source;
  std::unique_ptr<Source> source_;
  std::unique_ptr<BatchRing> ring_;
};

// Every image of the part once, in order, one view. A bad image is left out: its
// batch is shorter.
class EvalLoader {
 public:
  EvalLoader(const Dataset& dataset, const EvalLoaderSpec& spec);
  ~EvalLoader();

  // Null after the last batch; valid until the next call.
  const Batch* next();
  const std::vector<BadSample>& quarantine() const;
  const LoaderStats& stats() const;

 private:
  class Source;
  std::unique_ptr<Source> source_;
  std::unique_ptr<BatchRing> ring_;
};

}  // namespace music::data
