#include "engine/core/cores.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace music {
namespace {

namespace fs = std::filesystem;

// The mask may be of more CPUs than a cpu_set_t has.
std::vector<int> affinity() {
  std::vector<int> cpus;
  for (int most = CPU_SETSIZE; most <= (1 << 20); most *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(most));
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const bool fits = sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; fits && i < most; ++i)
      if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, set))
        cpus.push_back(i);
    CPU_FREE(set);
    if (fits) break;
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

// Mount points have blanks and backslashes as \040 and \134.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](std::size_t k) {
      return i + k < text.size() && text[i + k] >= '0' && text[i + k] <= '7';
    };
    if (text[i] == '\\' && octal(1) && octal(2) && octal(3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 +
                               (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool has_word(const std::string& list, const std::string& word) {
  std::istringstream words(list);
  for (std::string w; std::getline(words, w, ',');)
    if (w == word) return true;
  return false;
}

// A mounted hierarchy that limits CPU time.
struct Hierarchy {
  bool v2 = false;
  fs::path mount, top;  // top: the group which the mount point shows
};

std::vector<Hierarchy> hierarchies(const fs::path& root) {
  std::vector<Hierarchy> found;
  std::ifstream in(root / "proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    // id parent device top mount options [optional]... - type source options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string skip, top, mount, type, source, options;
    before >> skip >> skip >> skip >> top >> mount;
    after >> type >> source >> options;
    const bool v2 = type == "cgroup2";
    if (!v2 && !(type == "cgroup" && has_word(options, "cpu"))) continue;
    found.push_back({v2, unescaped(mount), unescaped(top)});
  }
  return found;
}

// The group this process is in, as its hierarchy names it.
std::optional<fs::path> group_of(const fs::path& root, bool v2) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    // number:controllers:path
    const std::size_t first = line.find(':');
    if (first == std::string::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (v2 ? line.starts_with("0::") : has_word(names, "cpu"))
      return fs::path(line.substr(second + 1));
  }
  return std::nullopt;
}

// CPU seconds a second of one group; 0: no limit of its own.
double quota_of(const fs::path& folder, bool v2) {
  double quota = -1, period = 0;
  if (v2) {
    std::ifstream in(folder / "cpu.max");  // "150000 100000", "max 100000"
    if (!(in >> quota >> period)) return 0;
  } else {
    std::ifstream a(folder / "cpu.cfs_quota_us");  // -1: none
    std::ifstream b(folder / "cpu.cfs_period_us");
    if (!(a >> quota) || !(b >> period)) return 0;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

void read_cpu_quota(const fs::path& root, AllowedCores& cores) {
  for (const Hierarchy& h : hierarchies(root)) {
    const auto group = group_of(root, h.v2);
    if (!group) continue;
    // Seen from a container the mount shows no group above its own; a path that
    // does not lie below it belongs to another namespace.
    fs::path below = group->lexically_relative(h.top);
    if (below.empty() || *below.begin() == "..") below = ".";
    const fs::path mount = (root / h.mount.relative_path()).lexically_normal();
    for (fs::path folder =
             below == "." ? mount : (mount / below).lexically_normal();;
         folder = folder.parent_path()) {
      const double quota = quota_of(folder, h.v2);
      if (quota > 0 && (cores.quota == 0 || quota < cores.quota)) {
        cores.quota = quota;
        struct stat s {};
        cores.quota_group = stat(folder.c_str(), &s) == 0
                                ? fmt::format("{}:{}", s.st_dev, s.st_ino)
                                : folder.string();
      }
      if (folder == mount || folder == folder.root_path()) break;
    }
  }
}

AllowedCores allowed_cores() {
  AllowedCores cores;
  cores.cpus = affinity();
  cores.online = std::max<int>(static_cast<int>(cores.cpus.size()),
                               static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
  read_cpu_quota("/", cores);
  return cores;
}

}  // namespace music
