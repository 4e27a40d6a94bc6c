#pragma once
// What the processes do that bench_scaling starts under mpirun: each role
// measures one thing and rank 0 prints one JSON object.

#include <cstdint>
#include <string>

#include "dist/communicator.h"
#include "tools/bench_common.h"

namespace music {

struct ScalingBench : BenchNetwork {
  ScalingBench() : BenchNetwork{18, 16, 32, "cifar", "512-512", 32} {}

  std::int64_t batch = 64;  // samples of a process
  int steps = 10, warmup = 3;
  std::int64_t loss_samples = 1024, loss_units = 8160;  // of role memory
  double latency_us = 0, gb_per_s = 1e6;               // of role delayed
};

// "step"       a step of all processes, `batch` samples each
// "delayed"    the same over a slower network
// "apart"      every process its own step: no exchanges but before and after
// "loss"       the loss of a batch of 2 * batch samples, whoever shares it
// "profile"    times of the operations of one process
// "exchanges"  the collectives of a step, each alone
// "memory"     the loss alone: its workspace, and how far it raised the peak
std::string run_role(const std::string& role, const ScalingBench& bench,
                     dist::Communicator& communicator);

}  // namespace music
