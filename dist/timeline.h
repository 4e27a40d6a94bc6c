#pragma once
// What a process did when: intervals on lanes, as a trace that browsers open
// (ui.perfetto.dev, chrome://tracing).
//
// A communicator that is given a timeline records its collectives: blocking
// ones and waits where the training thread spends them, started ones on lanes
// of their own, from start to the moment the process saw that they were done.

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace music::dist {

class Timeline {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  enum class Lane { kStep, kCompute, kInput, kBackground };

  struct Span {
    Lane lane = Lane::kCompute;
    std::string name;           // "conv2d"
    const char* category = "";  // "forward"; a literal
    Time begin{}, end{};
    std::string detail{};       // "layer1.0"
    std::int64_t bytes = -1;    // of a collective
  };

  // Its zero is now: processes that make theirs after a barrier agree on it,
  // whatever their clocks say.
  Timeline() : zero_(Clock::now()) {}

  void add(Span span) { spans_.push_back(std::move(span)); }
  // A background collective, by its ticket's number. What was started before
  // recording is unknown, and so ignored.
  void started(std::uint64_t number, const char* name, std::size_t bytes);
  void completed(std::uint64_t number);

  // An interval as long as this lives; of no timeline, nothing.
  class Scope {
   public:
    Scope(Timeline* timeline, Lane lane, const char* name, const char* category,
          std::int64_t bytes = -1)
        : timeline_(timeline), lane_(lane), name_(name), category_(category),
          bytes_(bytes) {
      if (timeline_) begin_ = Clock::now();
    }
    Scope(const Scope&) = delete;
    ~Scope() {
      if (timeline_)
        timeline_->add({lane_, name_, category_, begin_, Clock::now(), {},
                        bytes_});
    }

   private:
    Timeline* timeline_;
    Lane lane_;
    const char *name_, *category_;
    std::int64_t bytes_;
    Time begin_{};
  };

  // In the order of their ends; background ones in the order of completion.
  const std::vector<Span>& spans() const { return spans_; }

  // This process's part of a trace: JSON objects with commas between. Intervals
  // of a background lane never overlap: there are as many lanes as it takes.
  std::string events(int rank) const;

 private:
  struct Open { std::uint64_t number; Span span; };
  Time zero_;
  std::vector<Span> spans_;
  std::vector<Open> open_;
};

// The trace of all processes, from their events().
std::string trace_json(std::span<const std::string> events);

}  // namespace music::dist
