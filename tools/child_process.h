#pragma once
// A program run as a child: an argument vector, no shell.

#include <string>
#include <vector>

namespace music {

struct ChildResult {
  int code = 0;      // its exit code, or 128 and the signal that ended it
  int passed = 0;    // a signal that came meanwhile and was passed on; 0 = none
  double seconds = 0, processor_seconds = 0;
  double peak_gib = 0;  // of its memory
};

// Standard output goes to the file `output`, made anew, standard error to the
// end of `log`; it has no standard input. It is in a group of its own and ends
// with this process. While it runs, an InterruptGuard has to live: SIGINT,
// SIGTERM and SIGUSR1 are passed on once, and it is waited for. Throws kUsage
// where a file cannot be opened or the program cannot be started.
ChildResult run_child(const std::string& program,
                      const std::vector<std::string>& arguments,
                      const std::string& output, const std::string& log);

// The folder of this program's file.
std::string program_folder();

}  // namespace music
