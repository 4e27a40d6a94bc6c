#pragma once
// The progress display of a run or a task: a bar on a terminal, a plain line
// every so often elsewhere, nothing on ranks other than 0. Escape codes reach a
// file only when kBar is asked for.

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "music/config/config.h"
#include "music/method/method.h"

namespace music {

struct ProgressState {
  // What is counted where it is not a training run: "features of the test
  // images"; step and steps are then images (or whatever it counts in), and
  // epochs, data_wait and lines are not shown.
  std::string task;
  std::string unit = "images";
  double epoch = 0;              // passes done, 2.5 = half of the third
  std::int64_t epochs = 0;
  std::int64_t step = 0, steps = 0;  // done, and in the whole run
  std::int64_t views = 0;        // processed by this process so far
  double data_wait = 0;          // seconds it waited for data so far
  std::vector<ProgressLine> lines;  // the method's numbers
  std::string legend;               // what their brackets are; said once
};

// kAuto becomes kBar only on rank 0 of an interactive terminal: terminal =
// isatty(2); term and ci are the variables TERM and CI or nullptr.
ProgressStyle choose_style(ProgressStyle asked, int rank, bool terminal,
                           const char* term, const char* ci);

// "auto", "bar", "plain" or "none".
ProgressStyle progress_style(const std::string& name);

// "epoch 2.5/12  step 230/936  loss -8.12 [-4.49, -13.15]  DE ...", rates over
// the window since `then`; of a task "TASK 1200/5000  340 images/s". remaining is in seconds, < 0 when unknown.
std::string progress_text(const ProgressState& now, const ProgressState& then,
                          double window, double remaining);

// "45s", "12m30s", "3h05m", "2d04h".
std::string duration_text(double seconds);

class Progress {
 public:
  // out: standard error; clock: seconds, for tests.
  Progress(ProgressStyle style, int rank, double log_every,
           std::FILE* out = stderr, std::function<double()> clock = nullptr);
  ~Progress();  // ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Call after every step; prints when it is time to. The first call after a
  // start or a resume prints too.
  void update(const ProgressState& state);

 private:
  struct Screen;  // shared with the log, which wipes the bar before a message

  ProgressStyle style_;
  double every_;
  std::FILE* out_;
  std::function<double()> clock_;
  std::shared_ptr<Screen> screen_;
  bool started_ = false;
  ProgressState first_, last_;
  double first_time_ = 0, last_time_ = 0;
};

}  // namespace music
