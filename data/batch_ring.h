#pragma once
// The ring under the loaders: worker threads fill batches out of order, the
// consumer takes them in order. What a batch holds depends on its source alone.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "data/augment.h"
#include "data/loader.h"
#include "data/partial_reader.h"
#include "engine/core/buffer.h"

namespace music::data {

struct WorkerScratch {
  std::vector<std::uint8_t> file;
  PartialReader reader;
  Image image;
  AugmentScratch augment;
};

// A batch and what happened while it was filled.
struct FilledBatch {
  struct Bad {
    std::int64_t row;
    BadSample sample;
  };
  Batch batch;
  std::vector<Bad> bad;  // in the order of rows once complete
};

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Sets epoch, index and samples of the next batch; false: there is none.
  // One call at a time.
  virtual bool plan(Batch& batch) = 0;
  // Writes the pixels and the label of one row; appends the images that could
  // not be read to bad. Many rows at a time, each by one thread.
  virtual void fill(Batch& batch, std::int64_t row, WorkerScratch& scratch,
                    std::vector<FilledBatch::Bad>& bad) const = 0;
};

class BatchRing {
 public:
  // views * batch * size * size * 3 bytes a slot. source outlives the ring.
  BatchRing(BatchSource& source, std::int64_t batch, int views, int size,
            int workers, Memory memory = Memory::kHost);
  ~BatchRing() { stop(); }

  // The next complete batch, null at the end; valid until the next call of
  // next or stop. Starts the workers. Throws what fill threw, again and again
  // until stop.
  FilledBatch* next();
  // Joins the workers and forgets all batches; next then plans anew.
  void stop();
  LoaderStats& stats() { return stats_; }

 private:
  struct Slot {
    FilledBatch filled;
    Buffer pixels;
    std::int64_t taken = 0, done = 0;  // rows
    std::exception_ptr error;
  };

  static constexpr std::uint64_t kSlots = 3;  // one used, two ahead
  static constexpr std::int64_t kRows = 4;    // a worker takes at once

  void work();
  bool plan_next();
  Slot& slot(std::uint64_t ticket) { return slots_[ticket % kSlots]; }

  BatchSource& source_;
  const std::int64_t views_, size_;
  const int workers_;
  LoaderStats stats_;

  std::mutex mutex_;
  std::condition_variable work_, ready_;
  std::vector<Slot> slots_;
  // Tickets count batches: [0, given_) went out, [given_, planned_) are being
  // filled; rows up to open_ are all taken.
  std::uint64_t given_ = 0, open_ = 0, planned_ = 0;
  bool end_ = false, stopping_ = false;
  std::exception_ptr plan_error_;
  std::vector<std::thread> threads_;
};

}  // namespace music::data
