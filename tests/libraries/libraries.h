#pragma once
// cuBLASLt and cuDNN as far as engine/cuda calls them, on the CPU: the calls of
// their headers, computed by plain loops from what the descriptors say, as
// strict about arguments as the libraries' documentation. So gemm.cpp and
// convolution.cpp themselves are tested where there are headers and no GPU.
//
// What the libraries answer can be set by tests; what they were asked is
// counted.

#include <cstddef>

namespace music::libraries {

struct Settings {
  // The device.
  int major = 9, minor = 0;
  std::size_t free_bytes = std::size_t{8} << 30;
  // cuBLASLt has no algorithm that uses tensor cores; none at all.
  bool no_tensor_cores = false, no_algorithm = false;
  // cuDNN has no deterministic algorithm; fails when it runs one.
  bool no_deterministic = false, fail_run = false;
};
extern Settings settings;

struct Calls {
  int heuristics = 0, products = 0;
  int searches = 0, advice = 0, convolutions = 0;
  int idle_searches = 0;  // on operands that are not as busy as data
};
extern Calls calls;

// Workspace that every algorithm needs, and overwrites.
constexpr std::size_t kWorkspace = 300;

}  // namespace music::libraries
