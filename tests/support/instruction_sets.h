#pragma once
// Kernels of Highway on every instruction set this machine has.

// Tests may be compiled for Highway's AVX3_DL (Sapphire Rapids, Zen 5), which it
// then does not compile for unless asked to: findings/highway-native.sh.
#ifndef HWY_WANT_AVX3_DL
#define HWY_WANT_AVX3_DL
#endif
#include <hwy/targets.h>

#include <cstdint>
#include <string>

namespace music::test {

// Calls what with the name of each, while it is the one chosen. Returns how
// many there are.
template <typename Call>
int for_each_instruction_set(const Call& what) {
  int count = 0;
  for (std::int64_t left = hwy::SupportedTargets(); left; left &= left - 1) {
    const std::int64_t target = left & -left;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().DeInit();
    what(std::string(hwy::TargetName(target)));
    ++count;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
  return count;
}

}  // namespace music::test
