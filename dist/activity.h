#pragma once
// What this process is doing: its stage and its last collectives. Written by
// the training thread, read at any time by the watchdog's thread.

#include <array>
#include <atomic>
#include <cstdint>

namespace music::dist {

class Activity {
 public:
  static constexpr std::size_t kKept = 64;

  // One collective. `sequence` is its number on every rank, from 1; 0: none.
  struct Record {
    std::atomic<std::uint64_t> sequence{0};
    std::atomic<const char*> what{""};  // "all_reduce"
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<bool> done{false};
  };

  // name must live for ever (a literal). patience multiplies the watchdog's
  // limit while the stage lasts.
  void stage(const char* name, int patience = 1) {
    patience_.store(patience, std::memory_order_relaxed);
    stage_.store(name, std::memory_order_relaxed);
    tick();
  }
  void tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }
  // Returns the collective's number.
  std::uint64_t begin(const char* what, std::uint64_t bytes) {
    const std::uint64_t sequence = collectives() + 1;
    Record& r = record(sequence);
    r.what.store(what, std::memory_order_relaxed);
    r.bytes.store(bytes, std::memory_order_relaxed);
    r.done.store(false, std::memory_order_relaxed);
    r.sequence.store(sequence, std::memory_order_relaxed);
    collectives_.store(sequence, std::memory_order_relaxed);
    tick();
    return sequence;
  }
  void end(std::uint64_t sequence) {
    Record& r = record(sequence);
    if (r.sequence.load(std::memory_order_relaxed) == sequence)
      r.done.store(true, std::memory_order_relaxed);
    tick();
  }

  const char* stage() const { return stage_.load(std::memory_order_relaxed); }
  int patience() const { return patience_.load(std::memory_order_relaxed); }
  // Moves whenever there is progress.
  std::uint64_t ticks() const { return ticks_.load(std::memory_order_relaxed); }
  std::uint64_t collectives() const {
    return collectives_.load(std::memory_order_relaxed);
  }
  // The last kKept collectives lie at sequence % kKept.
  Record& record(std::uint64_t sequence) { return records_[sequence % kKept]; }
  const Record& record(std::uint64_t sequence) const {
    return records_[sequence % kKept];
  }

 private:
  std::atomic<const char*> stage_{"start"};
  std::atomic<int> patience_{1};
  std::atomic<std::uint64_t> ticks_{0}, collectives_{0};
  std::array<Record, kKept> records_;
};

}  // namespace music::dist
