#include "music/train/step_trace.h"

#include <spdlog/spdlog.h>

#include "dist/text.h"
#include "engine/io/file.h"

namespace music {

using dist::Timeline;

StepTrace::StepTrace(std::string file, Trainer& trainer,
                     dist::Communicator& communicator)
    : file_(std::move(file)), trainer_(trainer), communicator_(communicator) {
  if (!file_.empty() && trainer.compute().device == Device::kCuda)
    throw error(ExitCode::kUsage,
                "[trace] train.trace is for the CPU, this run is on a GPU: "
                "expected MUSIC_NVTX=1 under nsys profile");
}

StepTrace::~StepTrace() {
  if (timeline_) trainer_.trace(nullptr);
}

void StepTrace::next_step() {
  if (file_.empty()) return;
  if (seen_ == kWarmUp) {
    communicator_.barrier();  // a common zero
    timeline_.emplace();
    trainer_.trace(&*timeline_);
  } else if (seen_ > kWarmUp) {
    mark_step();
    if (seen_ == kWarmUp + kSteps) return write();
  }
  ++seen_;
  step_begin_ = Timeline::Clock::now();
}

void StepTrace::finish() {
  if (file_.empty()) return;
  if (!timeline_) {
    spdlog::warn("[trace] {} not written: the run ended before step {}", file_,
                 kWarmUp + 1);
    return;
  }
  mark_step();
  write();
}

// With all that came between it and the next one: logs, a checkpoint.
void StepTrace::mark_step() {
  timeline_->add({Timeline::Lane::kStep,
                  fmt::format("step {}", trainer_.steps_done() - 1), "step",
                  step_begin_, Timeline::Clock::now(), {}});
}

void StepTrace::write() {
  trainer_.trace(nullptr);
  const auto events = dist::all_gather_text(
      communicator_, timeline_->events(communicator_.rank()));
  timeline_.reset();
  if (communicator_.rank() == 0) {
    FileWriter out(file_);
    out.write(dist::trace_json(events));
    out.commit();
    spdlog::info("[trace] {}: {} steps, the last of them {}", file_,
                 seen_ - kWarmUp, trainer_.steps_done() - 1);
  }
  file_.clear();
}

}  // namespace music
