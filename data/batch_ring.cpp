#include "data/batch_ring.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/core/error.h"

namespace music::data {

BatchRing::BatchRing(BatchSource& source, std::int64_t batch, int views,
                     int size, int workers, Memory memory)
    : source_(source), views_(views), size_(size), workers_(workers),
      slots_(kSlots) {
  MUSIC_CHECK(batch >= 1, "[loader] batch is {}, expected >= 1", batch);
  MUSIC_CHECK(size >= 1, "[loader] image size is {}, expected >= 1", size);
  MUSIC_CHECK(workers >= 1, "[loader] {} workers, expected >= 1", workers);
  for (Slot& s : slots_)
    s.pixels = Buffer(static_cast<std::size_t>(views_ * batch * size_ * size_ *
                                               Image::kChannels),
                      memory);
}

// Plans one more batch where a slot is free. Under the lock.
bool BatchRing::plan_next() {
  // The batch the consumer holds, given_ - 1, occupies a slot too.
  const std::uint64_t oldest = given_ == 0 ? 0 : given_ - 1;
  if (end_ || plan_error_ || planned_ - oldest >= kSlots) return false;
  Slot& s = slot(planned_);
  Batch& batch = s.filled.batch;
  try {
    if (!source_.plan(batch)) {
      end_ = true;
      ready_.notify_all();
      return false;
    }
    batch.n = static_cast<std::int64_t>(batch.samples.size());
    batch.labels.assign(batch.samples.size(), -1);
  } catch (...) {
    plan_error_ = std::current_exception();
    ready_.notify_all();
    return false;
  }
  batch.pixels = {s.pixels.data(),
                  {views_ * batch.n, size_, size_, Image::kChannels},
                  DType::kU8};
  s.filled.bad.clear();
  s.taken = s.done = 0;
  s.error = nullptr;
  ++planned_;
  work_.notify_all();
  return true;
}

void BatchRing::work() {
  WorkerScratch scratch;
  std::vector<FilledBatch::Bad> bad;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (open_ == planned_ && !plan_next()) {
      work_.wait(lock);
      continue;
    }
    Slot& s = slot(open_);
    Batch& batch = s.filled.batch;
    const std::int64_t first = s.taken;
    const std::int64_t last = std::min(first + kRows, batch.n);
    s.taken = last;
    if (last == batch.n) ++open_;
    lock.unlock();

    std::exception_ptr failure;
    bad.clear();
    try {
      for (std::int64_t row = first; row < last; ++row)
        source_.fill(batch, row, scratch, bad);
    } catch (...) {
      failure = std::current_exception();
    }

    lock.lock();
    if (failure && !s.error) s.error = failure;
    s.filled.bad.insert(s.filled.bad.end(), bad.begin(), bad.end());
    s.done += last - first;
    if (s.done == batch.n) ready_.notify_all();
  }
}

FilledBatch* BatchRing::next() {
  while (static_cast<int>(threads_.size()) < workers_)
    threads_.emplace_back([this] { work(); });
  std::unique_lock lock(mutex_);
  if (given_ > 0 && slot(given_ - 1).error)
    std::rethrow_exception(slot(given_ - 1).error);
  // Asking for the next batch gives the last one's slot back.
  const std::uint64_t ticket = given_++;
  work_.notify_all();
  const auto complete = [&] {
    return planned_ > ticket &&
           slot(ticket).done == slot(ticket).filled.batch.n;
  };
  const auto begin = std::chrono::steady_clock::now();
  ready_.wait(lock, [&] {
    return complete() || (planned_ == ticket && (end_ || plan_error_));
  });
  stats_.wait_seconds += std::chrono::duration<double>(
                             std::chrono::steady_clock::now() - begin)
                             .count();
  if (planned_ == ticket) {
    --given_;
    if (plan_error_) std::rethrow_exception(plan_error_);
    return nullptr;
  }
  Slot& s = slot(ticket);
  if (s.error) std::rethrow_exception(s.error);
  std::stable_sort(s.filled.bad.begin(), s.filled.bad.end(),
                   [](const auto& a, const auto& b) { return a.row < b.row; });
  return &s.filled;
}

void BatchRing::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  given_ = open_ = planned_ = 0;
  end_ = stopping_ = false;
  plan_error_ = nullptr;
  for (Slot& s : slots_) s.error = nullptr;
}

}  // namespace music::data
