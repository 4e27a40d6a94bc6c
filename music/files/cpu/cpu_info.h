#pragma once
// The processor and its kernel library, for the record of a run.

#include <string>

namespace music::cpu {

struct CpuInfo {
  std::string model;    // as /proc/cpuinfo has it; "" when unknown
  std::string isa;      // what oneDNN makes use of, "avx512_core_vnni"
  std::string onednn;   // "2.6.3"
};

CpuInfo cpu_info();

}  // namespace music::cpu
