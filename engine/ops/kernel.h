#pragma once
// How an op reaches its bodies. MUSIC_KERNEL(make_x, spec...) declares the
// factory once for every backend; MUSIC_MAKE picks one by the request's device.
// engine/cpu and engine/cuda define them: a missing body is a link error.

#include <memory>

#include "engine/graph/graph.h"

#define MUSIC_KERNEL(name, ...)                                            \
  namespace cpu {                                                          \
  std::unique_ptr<Kernel> name(const KernelRequest& __VA_OPT__(, ) __VA_ARGS__); \
  }                                                                        \
  namespace cuda {                                                         \
  std::unique_ptr<Kernel> name(const KernelRequest& __VA_OPT__(, ) __VA_ARGS__); \
  }

#define MUSIC_MAKE(name, request, ...)                                \
  ((request).device == ::music::Device::kCpu                          \
       ? ::music::cpu::name(request __VA_OPT__(, ) __VA_ARGS__)       \
       : ::music::cuda::name(request __VA_OPT__(, ) __VA_ARGS__))
