#include "dist/launch.h"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace music::dist {
namespace {

std::optional<int> number(const char* name) {
  const char* text = std::getenv(name);
  if (!text) return std::nullopt;
  const std::string_view v(text);
  int n = 0;
  const auto [end, problem] = std::from_chars(v.data(), v.data() + v.size(), n);
  if (problem != std::errc() || end != v.data() + v.size()) return std::nullopt;
  return n;
}

}  // namespace

Launch launch_from_environment() {
  constexpr struct { const char *size, *rank, *launcher; } kKnown[] = {
      {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpirun"},
      {"PMI_SIZE", "PMI_RANK", "mpirun"},
  };
  for (const auto& k : kKnown) {
    const auto size = number(k.size), rank = number(k.rank);
    if (size && rank && *rank >= 0 && *rank < *size)
      return {*rank, *size, k.launcher};
  }
  // A batch script of Slurm has these too, but for a step id.
  const auto size = number("SLURM_STEP_NUM_TASKS"), rank = number("SLURM_PROCID");
  if (number("SLURM_STEP_ID") && size && rank && *rank >= 0 && *rank < *size)
    return {*rank, *size, "srun"};
  return {};
}

std::unique_ptr<Communicator> join() {
  const Launch launch = launch_from_environment();
  if (launch.size == 1) return make_local_communicator();
  auto communicator = make_mpi_communicator();
  if (communicator->size() != launch.size)
    throw error(ExitCode::kUsage,
                "[dist] {} started {} processes, but MPI sees {}: expected the "
                "launcher of the MPI this was built with{}", launch.launcher,
                launch.size, communicator->size(),
                launch.launcher == "srun" ? " (srun --mpi=pmix)" : "");
  return communicator;
}

}  // namespace music::dist
