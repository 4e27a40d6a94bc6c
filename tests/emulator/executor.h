#pragma once
// Runs a grid of thread blocks on the CPU, one block after the other, the
// threads of a block as fibers that are switched at barriers and warp
// operations only. Every grid is run under the schedule that set_schedule()
// chose, so that a race which one order hides shows under another.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace music::emulator {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1)
      : x(x_), y(y_), z(z_) {}
};

// What a running thread sees of itself.
struct Thread {
  Dim3 thread, block, block_size, grid;
  int index = 0, warp = 0, lane = 0;
};
extern Thread* current;

enum class Schedule {
  kForward,  // thread 0 first; who may go on does so before others start.
             // What a stream is given runs at once
  kReverse,  // the last thread first; all start before any goes on. What a
             // stream is given runs when something waits for it
};
void set_schedule(Schedule schedule);
Schedule current_schedule();

// Runs `thread` for every thread of the grid. Throws music::Error on a barrier
// or a warp operation that not all of its threads reach, on a shuffle from a
// lane outside the mask, and unless a block has whole warps along x only.
void run_grid(Dim3 grid, Dim3 block, const std::function<void()>& thread);

// Of the running thread:
void block_barrier();
// Waits for the lanes of the mask; returns what lane `source` brought.
std::uint64_t warp_exchange(unsigned mask, std::uint64_t value, int source);
unsigned warp_ballot(unsigned mask, bool predicate);
// The block's shared memory of this key: redzones at its ends, NaN at first.
void* shared(const void* key, std::size_t bytes);

// ---- device memory and streams (runtime.cpp)
using Work = std::vector<std::function<void()>>;
struct Stream;
struct Event;
// Runs work that touches device memory, now or later as the schedule says, or
// records it when the stream is capturing. False: not allowed while another
// stream captures.
bool queue(Stream* stream, std::function<void()> work);
// Of the streams created from now on the nth (from 0) runs its work at once
// whatever the schedule says, -1: none: it gets ahead of those that run late.
void set_early_stream(int nth);
// The emulated device's size; what is allocated stays.
void set_device_memory(std::size_t bytes);
void set_device_count(int count);

}  // namespace music::emulator
