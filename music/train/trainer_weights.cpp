// What a trainer says of its weights and rates, and the files of weights.

#include <algorithm>

#include "music/model/micro_batches.h"
#include "music/train/trainer.h"

namespace music {

// Parts of batches that passed the network; a batch in one pass is one.
std::int64_t Trainer::parts_done() const {
  const auto parts = [&](std::int64_t batch) {
    return static_cast<std::int64_t>(
        micro_batches(loader_->batch_total(batch), config_.train.micro_batch)
            .size());
  };
  const std::int64_t full = parts(0), last = parts(steps_per_epoch_ - 1);
  return step_ * full + step_ / steps_per_epoch_ * (last - full);
}

// A batch of statistics a view and part of a batch.
std::int64_t Trainer::new_batches() const {
  return needs_.views * parts_done();
}

bool Trainer::encoder_frozen() const {
  return std::ranges::all_of(
      model_->parameters().table(), [](const ParameterInfo& p) {
        return p.frozen || !p.name.starts_with(Model::kEncoder);
      });
}

std::int64_t Trainer::encoder_batches() const {
  return batches_before_ + (encoder_frozen() ? 0 : new_batches());
}

double Trainer::rate_of(const UpdateKnobs& knobs, double scheduled) const {
  float highest = 0;
  for (const ParameterInfo& p : model_->parameters().table()) {
    if (p.frozen) continue;
    if (p.group == 0) return scheduled;
    highest = std::max(highest, knobs.rates[p.group]);
  }
  return highest;
}

double Trainer::rate_at(const Schedule& schedule, std::int64_t step) const {
  const Position at{step, schedule.total_steps, steps_per_epoch_, schedule.peak,
                    schedule.share(step)};
  const double rate = schedule.rate(step);
  return rate_of(model_->method().knobs(at, rate), rate);
}

double Trainer::peak_rate() const {
  if (schedule_.warmup_steps >= schedule_.total_steps)
    return rate_at(schedule_, schedule_.total_steps - 1);
  const Position peak{0, schedule_.total_steps, steps_per_epoch_,
                      schedule_.peak, 1};
  return rate_of(model_->method().knobs(peak, schedule_.peak), schedule_.peak);
}

EncoderInfo Trainer::encoder_info() const {
  return {config_.model.encoder, config_.augment.size, config_.pixels};
}

void Trainer::save_weights(const std::filesystem::path& directory,
                           std::map<std::string, std::string> provenance) const {
  music::save_weights(*model_, directory, encoder_info(),
                      {.encoder = encoder_batches(), .heads = new_batches()},
                      std::move(provenance));
}

}  // namespace music
