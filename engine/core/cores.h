#pragma once
// The processor cores that the system lets this process use: its affinity mask
// (taskset, a launcher's binding, a cpuset) and the CPU quota of its control
// groups (containers, batch systems). Linux.

#include <filesystem>
#include <string>
#include <vector>

namespace music {

struct AllowedCores {
  std::vector<int> cpus;  // of the affinity mask, ascending, at least one
  int online = 1;         // cores of the machine
  // CPU seconds a second that the tightest control group grants; 0: no limit.
  double quota = 0;
  // Of that group, the same text in all processes that are in it; else "".
  std::string quota_group;
};

// Never throws: what cannot be read limits nothing.
AllowedCores allowed_cores();

// The quota alone, read below another root than "/" (proc/self/cgroup,
// proc/self/mountinfo and what they name). Sources: cgroups(7), and cpu.max of
// the kernel's cgroup-v2 text, cpu.cfs_quota_us of its sched-bwc text.
void read_cpu_quota(const std::filesystem::path& root, AllowedCores& cores);

}  // namespace music
