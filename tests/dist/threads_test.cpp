#include "dist/threads.h"

#include <doctest/doctest.h>
#include <sched.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/dist/world.h"
#include "tests/support/cpus_allowed.h"

namespace {

using namespace music;
using dist::decide_threads;
using dist::ThreadFacts;
using dist::Threads;
using test::cpus_allowed_list;
using test::world;

// A machine of `online` cores, `mask` of which this process may use, alone.
ThreadFacts facts(int online, int mask) {
  ThreadFacts f;
  f.allowed.online = online;
  f.allowed.cpus.clear();
  for (int i = 0; i < mask; ++i) f.allowed.cpus.push_back(i);
  f.cores = mask;
  return f;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_SUITE("threads") {
  TEST_CASE("flags, then OMP_NUM_THREADS, then the cores there are") {
    ThreadFacts f = facts(16, 16);
    Threads t = decide_threads(f, 0, 0);
    CHECK(t.compute == 16);
    CHECK(t.loader == 16);
    CHECK(t.why == "16 compute and 16 loader threads: all 16 cores");
    f.omp_num_threads = "4,2";
    t = decide_threads(f, 0, 0);
    CHECK(t.compute == 4);
    CHECK(t.loader == 16);  // not the runtime's threads
    CHECK(t.why == "4 compute and 16 loader threads: compute threads by "
                   "OMP_NUM_THREADS; all 16 cores");
    t = decide_threads(f, 3, 2);
    CHECK(t.compute == 3);
    CHECK(t.loader == 2);
    for (const char* nonsense : {"", "0", "-2", "many", "4x"}) {
      f.omp_num_threads = nonsense;
      CHECK(decide_threads(f, 0, 0).compute == 16);
    }
  }

  TEST_CASE("an affinity mask and a quota limit") {
    ThreadFacts f = facts(64, 8);
    CHECK(decide_threads(f, 0, 0).compute == 8);
    CHECK(contains(decide_threads(f, 0, 0).why, "8 cores of 64 allowed"));
    f.allowed.quota = f.quota = 3.5;
    Threads t = decide_threads(f, 0, 0);
    CHECK(t.compute == 3);
    CHECK(t.loader == 3);
    CHECK(contains(t.why, "a control group grants 3.5"));
    f.allowed.quota = f.quota = 0.5;
    CHECK(decide_threads(f, 0, 0).compute == 1);
    f.allowed.quota = f.quota = 20;
    t = decide_threads(f, 0, 0);
    CHECK(t.compute == 8);
    CHECK_FALSE(contains(t.why, "control group"));
  }

  TEST_CASE("processes of one machine share cores and quota") {
    ThreadFacts f = facts(16, 16);
    f.processes = 3;
    f.cores = 16 / 3.0;
    CHECK(decide_threads(f, 0, 0).compute == 5);
    CHECK(contains(decide_threads(f, 0, 0).why, "shared by 3 processes"));
    f.allowed.quota = 6, f.quota = 2;
    CHECK(decide_threads(f, 0, 0).compute == 2);
    // Bound by the launcher to cores of its own: nothing is shared.
    f = facts(16, 4);
    f.processes = 4;
    f.launcher = "mpirun";
    CHECK(decide_threads(f, 0, 0).compute == 4);
    CHECK_FALSE(contains(decide_threads(f, 0, 0).why, "shared"));
    CHECK_FALSE(contains(decide_threads(f, 0, 0).why, "bind-to"));
  }

  TEST_CASE("a launcher that binds one process to one core is named") {
    ThreadFacts f = facts(16, 1);
    f.launcher = "mpirun";
    const Threads t = decide_threads(f, 0, 0);
    CHECK(t.compute == 1);
    CHECK(t.why == "1 compute and 1 loader thread: 1 core of 16 allowed (mpirun "
                   "bound this process: --bind-to none lifts that)");
    f.launcher = "";
    CHECK_FALSE(contains(decide_threads(f, 0, 0).why, "bind-to"));
  }

  // What the system says, changed here: the mask of one core, then none.
  TEST_CASE("the facts of this process") {
    cpu_set_t before;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    const int cores = CPU_COUNT(&before);
    // The system says it in words, too, whatever the call does.
    CHECK(allowed_cores().cpus == cpus_allowed_list());
    int first = 0;
    while (!CPU_ISSET(static_cast<std::size_t>(first), &before)) ++first;
    const std::string variable = std::getenv("OMP_NUM_THREADS")
                                     ? std::getenv("OMP_NUM_THREADS")
                                     : "";
    unsetenv("OMP_NUM_THREADS");
    const AllowedCores allowed = allowed_cores();
    const int share = std::max(1, cores / world().size());
    world().barrier();
    // A quota of this machine may leave less.
    if (allowed.quota == 0)
      CHECK(dist::choose_threads(world(), 0, 0).compute == share);

    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(first), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(cpus_allowed_list() == std::vector<int>{first});
    CHECK(allowed_cores().cpus == std::vector<int>{first});
    for (int turn = 0; turn < 1000; ++turn) REQUIRE(sched_getcpu() == first);
    CHECK(dist::choose_threads(world(), 0, 0).compute == 1);
    setenv("OMP_NUM_THREADS", "7", 1);
    const Threads t = dist::choose_threads(world(), 0, 5);
    CHECK(t.compute == 7);
    CHECK(t.loader == 5);
    REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
    variable.empty() ? unsetenv("OMP_NUM_THREADS")
                     : setenv("OMP_NUM_THREADS", variable.c_str(), 1);
  }
}

}  // namespace
