#pragma once
// The cores of this process by /proc: told by the system in words, not by the call
// that the code under test makes.

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace music::test {

// "Cpus_allowed_list: 0-3,8" as numbers.
inline std::vector<int> cpus_allowed_list() {
  std::ifstream in("/proc/self/status");
  std::vector<int> cpus;
  const std::string key = "Cpus_allowed_list:";
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    std::istringstream ranges(line.substr(key.size()));
    for (std::string range; std::getline(ranges, range, ',');) {
      const std::size_t dash = range.find('-');
      const int first = std::stoi(range);
      const int last =
          dash == std::string::npos ? first : std::stoi(range.substr(dash + 1));
      for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    }
  }
  return cpus;
}

}  // namespace music::test
