#pragma once
// Steps of every method for which processes have no sample.

#include <algorithm>
#include <vector>

#include "tests/dist/method_problem.h"

namespace music::test {

// Every method, MUSIC too, with batches of fewer samples than there are
// processes; in one pass and in parts that the processes do not divide.
inline std::vector<MethodProblem> few_sample_problems() {
  std::vector<MethodProblem> all;
  std::vector<MethodCase> cases = method_cases();
  MusicSettings music;
  music.segment = 4;
  cases.push_back(method_case<Music>("", {24, 28}, true, music));
  const std::int64_t few =
      std::max<std::int64_t>(2, world().size() - 1);
  for (MethodCase c : cases) {
    // In groups a batch has to divide among the processes.
    if (c.spec.method.name == MocoV2::kName &&
        c.spec.method.of<MocoV2>().group > 0)
      continue;
    // Of two samples batch norm leaves little but signs, and these two losses are
    // of variances; VICReg's of one sample is refused.
    const bool vicreg = c.spec.method.name == Vicreg::kName;
    const bool variances = vicreg || c.spec.method.name == BarlowTwins::kName;
    for (const std::int64_t micro : {0, 3})
      for (const std::int64_t batch :
           {std::int64_t{8}, std::max<std::int64_t>(few, variances ? 3 : 0)}) {
        std::int64_t last = vicreg ? 3 : 1;
        if (c.spec.method.name == MocoV2::kName)
          c.spec.method.of<MocoV2>().queue = 4 * batch;
        if (c.name == "swav/queue") c.spec.method.of<Swav>().queue = 2 * batch;
        if (needs_of(c.spec.method).full_batches) last = batch;
        c.spec.samples = batch;
        all.push_back({c, batch, last, micro});
      }
  }
  return all;
}

}  // namespace music::test
