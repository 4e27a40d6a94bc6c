#pragma once
// A slower network than there is: every collective takes at least latency +
// bytes / bandwidth. Background ones are served one after the other, beside
// blocking ones: what music/plan/step_model.h assumes.

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

#include "dist/communicator.h"

namespace music::test {

class DelayedCommunicator final : public dist::Communicator {
 public:
  // inner must outlive it.
  DelayedCommunicator(dist::Communicator& inner, double latency_us,
                      double gb_per_s)
      : Communicator({inner.rank(), inner.size(), inner.local_rank(),
                      inner.local_size()}),
        inner_(inner),
        latency_us_(latency_us),
        us_per_byte_(1e-3 / gb_per_s) {
    check_collectives(false);  // inner's check sees them all
  }

  void poll() override { inner_.poll(); }
  void abort(ExitCode code) override { inner_.abort(code); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Delayed {
    dist::Ticket ticket;
    Clock::time_point done;
  };

  Clock::duration delay(const dist::Collective& c) const {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double, std::micro>(
            latency_us_ + us_per_byte_ * static_cast<double>(c.bytes())));
  }
  void do_run(const dist::Collective& c, void* stream) override {
    const auto done = Clock::now() + delay(c);
    inner_.run(c, stream);
    std::this_thread::sleep_until(done);
  }
  void do_start(const dist::Collective& c, std::uint64_t number,
                void* stream) override {
    free_ = std::max(free_, Clock::now()) + delay(c);
    started_[number] = {inner_.start(c, stream), free_};
  }
  void do_wait(std::uint64_t number, void* stream) override {
    const Delayed d = started_.at(number);
    started_.erase(number);
    inner_.wait(d.ticket, stream);
    std::this_thread::sleep_until(d.done);
  }
  void exchange(std::span<const std::int64_t> mine,
                std::span<std::int64_t> all) override {
    const std::vector<std::int64_t> counts(
        static_cast<std::size_t>(size()),
        static_cast<std::int64_t>(mine.size()));
    inner_.run(dist::Collective::all_gather(
        {const_cast<std::int64_t*>(mine.data()),
         Shape{static_cast<std::int64_t>(mine.size())}, DType::kI64},
        {all.data(), Shape{static_cast<std::int64_t>(all.size())}, DType::kI64},
        counts));
  }

  dist::Communicator& inner_;
  double latency_us_, us_per_byte_;
  Clock::time_point free_;
  std::map<std::uint64_t, Delayed> started_;
};

}  // namespace music::test
