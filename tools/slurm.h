#pragma once
// A batch script for Slurm around a command.

#include <string>
#include <vector>

namespace music {

// argv without --slurm-template becomes the command; data and out are filled in
// as placeholders when it has no arguments.
std::string slurm_template(const std::vector<std::string>& argv);

}  // namespace music
