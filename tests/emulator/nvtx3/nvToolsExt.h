#pragma once
// Stands in for NVIDIA's header: ranges are only counted.
namespace music::emulator {
inline int open_ranges = 0;
}
inline int nvtxRangePushA(const char*) { return music::emulator::open_ranges++; }
inline int nvtxRangePop() { return --music::emulator::open_ranges; }
