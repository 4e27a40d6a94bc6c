#include "engine/core/cores.h"

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/support/cpus_allowed.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

// A made-up /proc and /sys.
struct Machine : test::Scratch {
  void write(const fs::path& below, const std::string& text) const {
    fs::create_directories((path / below).parent_path());
    std::ofstream(path / below) << text;
  }
  AllowedCores read() const {
    AllowedCores cores;
    read_cpu_quota(path, cores);
    return cores;
  }
};

TEST_SUITE("cores") {
  TEST_CASE("a process bound to one core has that one") {
    // In a child: what is set here must not outlive the test.
    const AllowedCores before = allowed_cores();
    REQUIRE_FALSE(before.cpus.empty());
    CHECK(before.cpus == test::cpus_allowed_list());
    CHECK(std::is_sorted(before.cpus.begin(), before.cpus.end()));
    CHECK(before.online >= static_cast<int>(before.cpus.size()));
    for (const int cpu : before.cpus) {
      const pid_t child = fork();
      if (child == 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(cpu), &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0) _exit(2);
        const AllowedCores bound = allowed_cores();
        bool there = test::cpus_allowed_list() == std::vector<int>{cpu};
        for (int turn = 0; turn < 1000; ++turn) there &= sched_getcpu() == cpu;
        _exit(!there                                       ? 3
              : bound.cpus == std::vector<int>{cpu} &&
                      bound.online == before.online ? 0
                                                    : 1);
      }
      int status = -1;
      REQUIRE(waitpid(child, &status, 0) == child);
      CHECK(status == 0);
    }
  }

  TEST_CASE("the quota of control groups, version 2") {
    const Machine m;
    CHECK(m.read().quota == 0);  // nothing to read
    m.write("proc/self/cgroup", "0::/user/job\n");
    m.write("proc/self/mountinfo",
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
            "rw,nsdelegate\n");
    m.write("sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    CHECK(m.read().quota == 0);
    CHECK(m.read().quota_group.empty());
    m.write("sys/fs/cgroup/user/cpu.max", "150000 100000\n");  // above counts
    CHECK(m.read().quota == 1.5);
    m.write("sys/fs/cgroup/user/job/cpu.max", "50000 100000\n");
    CHECK(m.read().quota == 0.5);
    m.write("sys/fs/cgroup/user/job/cpu.max", "400000 100000\n");
    CHECK(m.read().quota == 1.5);
    CHECK_FALSE(m.read().quota_group.empty());
    m.write("sys/fs/cgroup/user/cpu.max", "nonsense\n");
    CHECK(m.read().quota == 4);
  }

  TEST_CASE("the quota of control groups, version 1") {
    const Machine m;
    m.write("proc/self/cgroup",
            "5:cpuset:/other\n4:cpu,cpuacct:/a/job\n0::/\n");
    m.write("proc/self/mountinfo",
            "32 31 0:29 / /sys/fs/cgroup/set rw - cgroup cgroup rw,cpuset\n"
            "33 31 0:30 /a /sys/fs/cgroup/my\\040cpu rw - cgroup cgroup "
            "rw,cpu,cpuacct\n");
    m.write("sys/fs/cgroup/my cpu/job/cpu.cfs_quota_us", "-1\n");
    m.write("sys/fs/cgroup/my cpu/job/cpu.cfs_period_us", "100000\n");
    CHECK(m.read().quota == 0);
    m.write("sys/fs/cgroup/my cpu/job/cpu.cfs_quota_us", "250000\n");
    CHECK(m.read().quota == 2.5);
    m.write("sys/fs/cgroup/my cpu/cpu.cfs_quota_us", "200000\n");
    m.write("sys/fs/cgroup/my cpu/cpu.cfs_period_us", "100000\n");
    CHECK(m.read().quota == 2);
    // The controller of another name is not looked at.
    m.write("sys/fs/cgroup/set/other/cpu.cfs_quota_us", "1000\n");
    m.write("sys/fs/cgroup/set/other/cpu.cfs_period_us", "100000\n");
    CHECK(m.read().quota == 2);
  }

  TEST_CASE("a container sees its own group at the mount point") {
    const Machine m;
    m.write("proc/self/cgroup", "0::/../elsewhere\n");
    m.write("proc/self/mountinfo",
            "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    m.write("sys/fs/cgroup/cpu.max", "300000 100000\n");
    CHECK(m.read().quota == 3);
    m.write("proc/self/cgroup", "0::/\n");
    CHECK(m.read().quota == 3);
  }
}

}  // namespace
