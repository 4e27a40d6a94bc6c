#pragma once
// What the Barlow Twins loss is made of. Defaults: those of the authors' code.

namespace music {

// total = scale * (on + lambda * off). epsilon: added to a variance before its
// root.
struct BarlowTwinsSpec {
  double lambda = 0.0051, scale = 1, epsilon = 1e-5;
};

// Throws ExitCode::kUsage unless lambda and scale are finite and epsilon > 0.
void check_spec(const BarlowTwinsSpec& spec);

}  // namespace music
