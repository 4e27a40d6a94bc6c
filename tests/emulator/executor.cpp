// The fortified longjmp refuses to go to another stack.
#undef _FORTIFY_SOURCE
#include "tests/emulator/executor.h"

#include <setjmp.h>
#include <ucontext.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "engine/core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define MUSIC_OWN_SWITCH
// Leaves the registers that a call keeps on this stack and takes those of the
// other: a tenth of setjmp's time.
extern "C" void music_emulator_switch(void** from, void* to);
asm(R"(
  .text
  .globl music_emulator_switch
  .type music_emulator_switch, @function
music_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size music_emulator_switch, . - music_emulator_switch
)");
#endif

namespace music::emulator {

Thread* current = nullptr;

namespace {

constexpr std::size_t kStack = 256 << 10;
constexpr int kWarp = 32;

Schedule schedule = Schedule::kForward;

// Where a fiber or the scheduler goes on.
struct Context {
#if defined(MUSIC_OWN_SWITCH)
  void* stack = nullptr;
#else
  ucontext_t start;
  jmp_buf here;
  bool started = false;  // `here` holds a place
#endif
};

// A context and its stack; runs one thread after the other until one waits.
struct Fiber {
  Context context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  Thread thread;
};

// Lanes bring values; the last to arrive hands out results.
struct Warp {
  int arrived = 0;
  unsigned mask = 0;
  std::uint64_t value[kWarp] = {}, result[kWarp] = {};
  int source[kWarp] = {};
  std::vector<Fiber*> waiters;
};

// Everything of the block that runs.
struct Block {
  const std::function<void()>* body = nullptr;
  Thread pattern;  // block, block_size, grid
  int threads = 0, started = 0, done = 0, at_barrier = 0;
  std::vector<Fiber*> barrier;
  std::deque<Fiber*> runnable;
  std::vector<Warp> warps;
  std::map<const void*, std::unique_ptr<char[]>> shared;
  std::string problem;
};

Block* block = nullptr;
Fiber* running = nullptr;
Context scheduler;
std::vector<std::unique_ptr<Fiber>> pool;
std::vector<Fiber*> idle;

// Tells AddressSanitizer which stack is about to be used.
#if defined(__SANITIZE_ADDRESS__)
void* scheduler_fake = nullptr;
const void* scheduler_stack = nullptr;
std::size_t scheduler_size = 0;
void leaving(void** fake, const void* stack, std::size_t size) {
  __sanitizer_start_switch_fiber(fake, stack, size);
}
void entered(void* fake, const void** from, std::size_t* size) {
  __sanitizer_finish_switch_fiber(fake, from, size);
}
#endif

// swapcontext saves the signal mask with a system call, which would be half of
// all time; a jump between stacks does not. Sanitizers know swapcontext only.
void switch_to(Context& from, Context& to) {
#if defined(MUSIC_OWN_SWITCH)
  music_emulator_switch(&from.stack, to.stack);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  swapcontext(&from.start, &to.start);
#else
  if (_setjmp(from.here) != 0) return;
  from.started = true;
  if (to.started) _longjmp(to.here, 1);
  setcontext(&to.start);
#endif
}

void to_scheduler() {
  Fiber* self = running;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  leaving(&fake, scheduler_stack, scheduler_size);
#endif
  switch_to(self->context, scheduler);
#if defined(__SANITIZE_ADDRESS__)
  entered(fake, nullptr, nullptr);
#endif
  running = self;
  current = &self->thread;
}

void to_fiber(Fiber* fiber) {
  running = fiber;
  current = &fiber->thread;
#if defined(__SANITIZE_ADDRESS__)
  leaving(&scheduler_fake, fiber->stack.get(), kStack);
#endif
  switch_to(scheduler, fiber->context);
#if defined(__SANITIZE_ADDRESS__)
  entered(scheduler_fake, nullptr, nullptr);
#endif
  running = nullptr;
  current = nullptr;
}

// The thread's stack is given up as it stands: it must own no memory.
[[noreturn]] void stop(std::string problem) {
  if (block->problem.empty()) block->problem = std::move(problem);
  problem = {};
  while (true) to_scheduler();
}

void run_threads() {
  Block& b = *block;
  while (b.started < b.threads) {
    const int t = schedule == Schedule::kForward ? b.started
                                                 : b.threads - 1 - b.started;
    ++b.started;
    Thread& self = running->thread;
    self = b.pattern;
    self.index = t;
    self.thread = Dim3(static_cast<unsigned>(t), 0, 0);
    self.warp = t / kWarp, self.lane = t % kWarp;
    (*b.body)();
    ++b.done;
  }
}

void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
  entered(nullptr, &scheduler_stack, &scheduler_size);
#endif
  while (true) {
    run_threads();
    idle.push_back(running);
    to_scheduler();
  }
}

void make_context(Context& context, char* stack) {
#if defined(MUSIC_OWN_SWITCH)
  const auto top = reinterpret_cast<std::uintptr_t>(stack + kStack);
  // As if called: six registers, where to go on, no caller, aligned.
  auto* at = reinterpret_cast<void**>(top & ~std::uintptr_t{15}) - 8;
  std::memset(at, 0, 8 * sizeof *at);
  at[6] = reinterpret_cast<void*>(&fiber_main);
  context.stack = at;
#else
  ucontext_t& start = context.start;
  getcontext(&start);
  start.uc_stack.ss_sp = stack;
  start.uc_stack.ss_size = kStack;
  start.uc_link = nullptr;
  makecontext(&start, fiber_main, 0);
#endif
}

Fiber* fresh_fiber() {
  if (idle.empty()) {
    auto& f = pool.emplace_back(std::make_unique<Fiber>());
    make_context(f->context, f->stack.get());
    return f.get();
  }
  Fiber* f = idle.back();
  idle.pop_back();
  return f;
}

void wait_here(std::vector<Fiber*>& list) {
  list.push_back(running);
  to_scheduler();
}

void release(std::vector<Fiber*>& list) {
  block->runnable.insert(block->runnable.end(), list.begin(), list.end());
  list.clear();
}

void run_block(Block& b) {
  block = &b;
  while (b.done < b.threads && b.problem.empty()) {
    const bool may_start = b.started < b.threads;
    const bool may_go_on = !b.runnable.empty();
    if (may_go_on && (schedule == Schedule::kForward || !may_start)) {
      Fiber* f = nullptr;
      if (schedule == Schedule::kForward) {
        f = b.runnable.front();
        b.runnable.pop_front();
      } else {
        f = b.runnable.back();
        b.runnable.pop_back();
      }
      to_fiber(f);
    } else if (may_start) {
      to_fiber(fresh_fiber());
    } else {
      b.problem = fmt::format(
          "{} of {} threads have ended and {} wait at a barrier, the others in "
          "a warp operation that some of its lanes never reach",
          b.done, b.threads, b.at_barrier);
    }
  }
  block = nullptr;
  if (b.problem.empty()) return;
  // Stacks of threads that never ended cannot be used again.
  pool.clear();
  idle.clear();
  throw error(ExitCode::kInternal, "[emulator] block {},{},{}: {}",
              b.pattern.block.x, b.pattern.block.y, b.pattern.block.z,
              b.problem);
}

}  // namespace

void set_schedule(Schedule s) { schedule = s; }
Schedule current_schedule() { return schedule; }

void run_grid(Dim3 grid, Dim3 size, const std::function<void()>& thread) {
  MUSIC_CHECK(size.y == 1 && size.z == 1 && size.x % kWarp == 0 &&
                  size.x >= 1 && size.x <= 1024,
              "[emulator] a block of {} x {} x {} threads", size.x, size.y,
              size.z);
  MUSIC_CHECK(block == nullptr, "[emulator] a launch inside a kernel");
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        Block b;
        b.body = &thread;
        b.threads = static_cast<int>(size.x);
        b.pattern.block = Dim3(x, y, z);
        b.pattern.block_size = size;
        b.pattern.grid = grid;
        b.warps.resize(size.x / kWarp);
        run_block(b);
      }
}

void block_barrier() {
  Block& b = *block;
  if (b.done > 0)
    stop(fmt::format("a barrier after {} threads have ended", b.done));
  if (++b.at_barrier < b.threads) return wait_here(b.barrier);
  b.at_barrier = 0;
  release(b.barrier);
}

namespace {

Warp& own_warp() {
  return block->warps[static_cast<std::size_t>(running->thread.warp)];
}

// Waits until every lane of the mask is here; the last one, before anybody goes
// on, calls finish(warp).
template <typename F>
void meet(unsigned mask, F&& finish) {
  const int lane = running->thread.lane;
  Warp& w = own_warp();
  if ((mask >> lane & 1u) == 0)
    stop(fmt::format("lane {} is not in its own mask {:08x}", lane, mask));
  if (w.arrived == 0) {
    w.mask = mask;
  } else if (w.mask != mask) {
    stop(fmt::format("lanes of a warp name masks {:08x} and {:08x}", w.mask,
                     mask));
  }
  if (++w.arrived < std::popcount(mask)) return wait_here(w.waiters);
  finish(w);
  w.arrived = 0;
  release(w.waiters);
}

}  // namespace

std::uint64_t warp_exchange(unsigned mask, std::uint64_t value, int source) {
  const int lane = running->thread.lane;
  if ((mask >> source & 1u) == 0)
    stop(fmt::format("a shuffle from lane {}, which is not in mask {:08x}",
                     source, mask));
  Warp& warp = own_warp();
  warp.value[lane] = value;
  warp.source[lane] = source;
  meet(mask, [](Warp& w) {
    for (int i = 0; i < kWarp; ++i)
      if (w.mask >> i & 1u) w.result[i] = w.value[w.source[i]];
  });
  return warp.result[lane];
}

unsigned warp_ballot(unsigned mask, bool predicate) {
  const int lane = running->thread.lane;
  Warp& warp = own_warp();
  warp.value[lane] = predicate;
  meet(mask, [](Warp& w) {
    unsigned votes = 0;
    for (int i = 0; i < kWarp; ++i)
      if (w.mask >> i & 1u) votes |= static_cast<unsigned>(w.value[i]) << i;
    for (int i = 0; i < kWarp; ++i)
      if (w.mask >> i & 1u) w.result[i] = votes;
  });
  return static_cast<unsigned>(warp.result[lane]);
}

void* shared(const void* key, std::size_t bytes) {
  auto& memory = block->shared[key];
  if (!memory) {
    memory.reset(new char[bytes]);  // of its own: sanitizers see its ends
    std::memset(memory.get(), 0xFF, bytes);
  }
  return memory.get();
}

}  // namespace music::emulator
