#include "dist/launch.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dist/text.h"
#include "engine/core/shard.h"
#include "tests/dist/world.h"

namespace {

using namespace music;
using test::world;

// The environment of a launcher, and back to what it was.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK",
                             "PMI_SIZE", "PMI_RANK", "SLURM_STEP_NUM_TASKS",
                             "SLURM_PROCID", "SLURM_STEP_ID"}) {
      const char* v = std::getenv(name);
      before_.emplace_back(name, v ? v : "");
      unsetenv(name);
    }
    for (const auto& [name, value] : values)
      setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : before_)
      value.empty() ? unsetenv(name.c_str())
                    : setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::pair<std::string, std::string>> before_;
};

TEST_SUITE("launch") {
  TEST_CASE("what a launcher says") {
    const auto check = [](const std::map<std::string, std::string>& values,
                          int rank, int size, const std::string& launcher) {
      const Environment environment(values);
      const dist::Launch launch = dist::launch_from_environment();
      CHECK(launch.rank == rank);
      CHECK(launch.size == size);
      CHECK(launch.launcher == launcher);
    };
    check({}, 0, 1, "");
    check({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}}, 3, 4,
          "mpirun");
    check({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}}, 1, 2, "mpirun");
    check({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "7"},
           {"SLURM_STEP_ID", "0"}}, 7, 8, "srun");
    // A batch script is not a step.
    check({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "0"}}, 0, 1, "");
    check({{"OMPI_COMM_WORLD_SIZE", "4x"}, {"OMPI_COMM_WORLD_RANK", "3"}}, 0, 1,
          "");
    check({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "4"}}, 0, 1,
          "");
  }

  TEST_CASE("a process on its own needs no MPI") {
    const Environment environment({});
    const auto alone = dist::join();
    CHECK(alone->size() == 1);
    CHECK(alone->rank() == 0);
  }

  TEST_CASE("ranks of this machine") {
    CHECK(world().local_size() == world().size());
    CHECK(world().local_rank() == world().rank());
  }

  TEST_CASE("shards of a batch") {
    for (std::int64_t n : {1, 7, 12})
      for (int size = 1; size < 6; ++size) {
        std::int64_t sum = 0;
        for (int rank = 0; rank < size; ++rank) {
          const std::int64_t share = shard_size(n, rank, size);
          CHECK(share >= n / size);
          CHECK(share <= n / size + 1);
          sum += share;
        }
        CHECK(sum == n);
      }
  }

  TEST_CASE("text goes round") {
    const int r = world().rank(), n = world().size();
    const std::string mine(static_cast<std::size_t>(3 * r), 'a');
    const auto all = dist::all_gather_text(world(), mine);
    REQUIRE(static_cast<int>(all.size()) == n);
    for (int s = 0; s < n; ++s)
      CHECK(all[static_cast<std::size_t>(s)] ==
            std::string(static_cast<std::size_t>(3 * s), 'a'));
    CHECK(dist::broadcast_text(world(), r == n - 1 ? "the last" : "", n - 1) ==
          "the last");
  }

  TEST_CASE("ranks that differ are named on all ranks") {
    const std::pair<std::string, std::string> same[] = {{"data", "96 images"}};
    dist::require_agreement(world(), same);
    const int last = world().size() - 1;
    if (last == 0) return;
    const std::pair<std::string, std::string> other[] = {
        {"data", world().rank() == last ? "48 images" : "96 images"}};
    std::string message;
    try {
      dist::require_agreement(world(), other, ExitCode::kNumerical);
    } catch (const Error& e) {
      message = e.what();
      CHECK(e.code() == ExitCode::kNumerical);
    }
    CHECK(message == fmt::format("[dist] processes with different data: rank 0 "
                                 "has 96 images, rank {} has 48 images; "
                                 "expected the same on all", last));
  }
}

}  // namespace
