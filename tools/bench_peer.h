#pragma once
// A peer that takes turns with a bench: a process that loads once and then
// measures at a word, so that both see the same machine.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "tools/bench_common.h"

namespace music {

struct Turn {
  double seconds = 0, cpu = 0;
};

inline Turn medians(const std::vector<Turn>& turns) {
  std::vector<double> seconds, cpu;
  for (const Turn& t : turns) seconds.push_back(t.seconds), cpu.push_back(t.cpu);
  return {median(seconds), median(cpu)};
}

// The processor time of this process.
inline double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// A line to the process is a turn, a line from it JSON.
class Peer {
 public:
  // command: program and arguments.
  Peer(std::vector<std::string> command, int threads) {
    int to[2], from[2];
    MUSIC_CHECK(pipe(to) == 0 && pipe(from) == 0, "[bench] no pipes");
    const std::string count = std::to_string(threads);
    std::vector<char*> arguments;
    for (auto& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0), dup2(from[1], 1);
      for (const int end : {to[0], to[1], from[0], from[1]}) close(end);
      setenv("OMP_NUM_THREADS", count.c_str(), 1);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    close(to[0]), close(from[1]);
    in_ = fdopen(to[1], "w"), out_ = fdopen(from[0], "r");
  }
  ~Peer() {
    close_input();
    std::fclose(out_);
    waitpid(child_, nullptr, 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // {"seconds", "cpu"} of a turn.
  Turn measure() {
    std::fputs("turn\n", in_);
    std::fflush(in_);
    const auto answer = read();
    return {answer.at("seconds"), answer.at("cpu")};
  }
  // No more turns: the process says its last.
  void close_input() {
    if (in_) std::fclose(in_);
    in_ = nullptr;
  }
  nlohmann::json read() {
    char buffer[4096];
    MUSIC_CHECK(std::fgets(buffer, sizeof buffer, out_),
                "[bench] the peer ended without an answer");
    return nlohmann::json::parse(buffer);
  }

 private:
  pid_t child_ = -1;
  std::FILE *in_ = nullptr, *out_ = nullptr;
};

}  // namespace music
