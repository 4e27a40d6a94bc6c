#include "dist/threads.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "dist/launch.h"
#include "dist/text.h"

namespace music::dist {
namespace {

// What a process tells the others about where it runs: one line each.
struct Place {
  std::string machine, group;
  std::vector<int> cpus;

  std::string text() const {
    std::string t = machine + '\n' + group + '\n';
    for (const int cpu : cpus) t += std::to_string(cpu) + ' ';
    return t;
  }
  static Place parse(const std::string& text) {
    Place p;
    std::istringstream in(text);
    std::getline(in, p.machine);
    std::getline(in, p.group);
    for (int cpu; in >> cpu;) p.cpus.push_back(cpu);
    return p;
  }
};

// Containers of one machine differ in host name, not in this.
std::string machine() {
  std::string id;
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::getline(in, id);
  return id;
}

ThreadFacts facts_of(Communicator& communicator) {
  ThreadFacts f;
  f.allowed = allowed_cores();
  const Place mine{machine(), f.allowed.quota_group, f.allowed.cpus};
  std::vector<int> users(static_cast<std::size_t>(mine.cpus.back()) + 1);
  int sharing_quota = 0;
  f.processes = 0;
  for (const std::string& text : all_gather_text(communicator, mine.text())) {
    const Place other = Place::parse(text);
    if (other.machine != mine.machine) continue;
    ++f.processes;
    sharing_quota += other.group == mine.group;
    for (const int cpu : other.cpus)
      if (cpu >= 0 && cpu < static_cast<int>(users.size()))
        ++users[static_cast<std::size_t>(cpu)];
  }
  f.cores = 0;
  for (const int cpu : mine.cpus)
    f.cores += 1.0 / users[static_cast<std::size_t>(cpu)];
  f.quota = f.allowed.quota / std::max(1, sharing_quota);
  f.launcher = launch_from_environment().launcher;
  f.omp_num_threads = std::getenv("OMP_NUM_THREADS");
  return f;
}

// The first number of "4" or "4,2"; 0 when it is none.
int first_number(const char* text) {
  if (!text) return 0;
  while (*text == ' ') ++text;
  int n = 0;
  const std::string_view v(text);
  const auto [end, problem] = std::from_chars(v.data(), v.data() + v.size(), n);
  const bool complete =
      end == v.data() + v.size() || *end == ',' || *end == ' ';
  return problem == std::errc() && complete && n > 0 ? n : 0;
}

int whole(double cores) {
  return std::max(1, static_cast<int>(std::floor(cores + 1e-6)));
}

std::string plural(int n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

// Why a process that follows the machine has as many as it has.
std::string share_text(const ThreadFacts& f) {
  const int mask = static_cast<int>(f.allowed.cpus.size());
  std::string text =
      mask == f.allowed.online
          ? fmt::format("all {}", plural(mask, "core"))
          : fmt::format("{} of {} allowed", plural(mask, "core"),
                        f.allowed.online);
  if (mask == 1 && f.allowed.online == 1) text = "the machine's one core";
  if (f.processes > 1 && f.cores < mask - 1e-6)
    text += fmt::format(", shared by {} processes", f.processes);
  if (f.quota > 0 && f.quota < f.cores)
    text += fmt::format(", a control group grants {:.4g}{}", f.allowed.quota,
                        f.quota < f.allowed.quota ? " to the processes" : "");
  // Open MPI binds by default, also a single process.
  if (f.launcher == "mpirun" && mask < f.allowed.online / f.processes)
    text += " (mpirun bound this process: --bind-to none lifts that)";
  return text;
}

}  // namespace

Threads decide_threads(const ThreadFacts& f, int compute_asked,
                       int loader_asked) {
  const int share =
      whole(f.quota > 0 ? std::min(f.quota, f.cores) : f.cores);
  const int variable = first_number(f.omp_num_threads);
  Threads t;
  t.compute = compute_asked > 0 ? compute_asked
              : variable > 0    ? variable
                                : share;
  t.loader = loader_asked > 0 ? loader_asked : share;
  std::string said;  // by somebody, in place of the machine
  if (compute_asked > 0)
    said = "compute threads as asked for";
  else if (variable > 0)
    said = "compute threads by OMP_NUM_THREADS";
  if (loader_asked > 0)
    said += said.empty() ? "loader threads as asked for"
                         : ", loader threads as asked for";
  t.why = fmt::format(
      "{} compute and {} loader thread{}: {}{}", t.compute, t.loader,
      t.loader == 1 ? "" : "s", said.empty() ? "" : said + "; ",
      share_text(f));
  return t;
}

Threads choose_threads(Communicator& communicator, int compute_asked,
                       int loader_asked) {
  return decide_threads(facts_of(communicator), compute_asked, loader_asked);
}

Threads choose_threads(int compute_asked, int loader_asked) {
  return choose_threads(*make_local_communicator(), compute_asked,
                        loader_asked);
}

}  // namespace music::dist
