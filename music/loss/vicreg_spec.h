#pragma once
// What the VICReg loss is made of. Defaults: those of the authors' code.

namespace music {

// Coefficients of the three terms. epsilon: added to a variance before its root.
struct VicregSpec {
  double invariance = 25, variance = 25, covariance = 1;
  double epsilon = 1e-4;
};

// Throws ExitCode::kUsage unless the coefficients are finite and epsilon > 0.
void check_spec(const VicregSpec& spec);

}  // namespace music
