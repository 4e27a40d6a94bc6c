#pragma once
// Factories of a build without CUDA: each throws one line.

#include "engine/ops/kernel.h"

#define MUSIC_NO_CUDA(name, ...)                                           \
  std::unique_ptr<Kernel> name(                                            \
      const KernelRequest& __VA_OPT__(, ) __VA_ARGS__) {                   \
    throw error(ExitCode::kUsage,                                          \
                "[" #name "] this build has no CUDA: use the cpu device"); \
  }
