#include "music/train/describe_run.h"

#include <spdlog/spdlog.h>

#include "engine/core/counted.h"
#include "engine/core/wait_policy.h"

namespace music {
namespace {

double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

}  // namespace

void describe_run(const Config& config, const data::Dataset& dataset,
                  const dist::Communicator& communicator, Trainer& trainer) {
  const Parameters& p = trainer.model().parameters();
  const auto memory = trainer.memory();
  spdlog::info("[run] {}, {} an epoch, {} in all; learning rate up to {:.4g}{}",
               counted(dataset.size(), "image"), counted(trainer.steps_per_epoch(), "step"),
               counted(trainer.total_steps(), "step"),
               trainer.peak_rate(),
               communicator.size() > 1
                   ? fmt::format("; {} processes", communicator.size())
                   : "");
  if (const std::int64_t rest = dataset.size() % config.train.batch;
      rest > 0 && needs_of(config.method).full_batches)
    spdlog::info("[run] {} of each epoch left out, others each time: {} takes full "
                 "batches only, and {} images are no multiple of {}",
                 counted(rest, "image"), config.method.name, dataset.size(),
                 config.train.batch);
  spdlog::info("[run] computes on {}", music::describe(trainer.compute()));
  spdlog::info("[threads] {}; while they wait they {}", trainer.threads().why,
               wait_policy());
  spdlog::info("[run] {:.2f} M parameters; memory: parameters, gradients and "
               "momentum {:.0f} MiB, activations {:.0f} MiB, workspace {:.0f} MiB{}",
               static_cast<double>(p.count()) / 1e6,
               mib(3 * static_cast<std::size_t>(p.flat_elements()) * sizeof(float)),
               mib(memory.arena), mib(memory.workspace),
               memory.rows > 0
                   ? fmt::format("; between the two passes {:.0f} MiB",
                                 mib(memory.rows))
                   : "");
}

}  // namespace music
