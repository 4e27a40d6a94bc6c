#include "music/train/frozen_encoder.h"

#include <span>

#include "engine/io/file.h"

namespace music {

std::string frozen_encoder(Trainer& trainer) {
  if (!trainer.encoder_frozen()) return "";
  HostParameters parameters(trainer.model().parameters());
  const std::string prefix = std::string(Model::kEncoder) + ".";
  Xxh3 hash;
  const auto add = [&](const ParameterInfo& p, const Tensor& t) {
    if (p.name.starts_with(prefix))
      hash.update({static_cast<const std::byte*>(t.data), t.bytes()});
  };
  for (std::size_t i = 0; i < parameters->table().size(); ++i)
    add(parameters->table()[i], parameters->value(static_cast<int>(i)));
  for (std::size_t i = 0; i < parameters->buffers().size(); ++i)
    add(parameters->buffers()[i], parameters->buffer(static_cast<int>(i)));
  const std::int64_t batches = trainer.encoder_batches();
  hash.update(std::as_bytes(std::span(&batches, 1)));
  return hash.digest().xxh3_128;
}

void require_unchanged(Trainer& trainer, const std::string& before) {
  const std::string now = frozen_encoder(trainer);
  if (now != before)
    throw error(ExitCode::kNumerical,
                "[run] the frozen encoder has changed by step {}: {}, expected "
                "{}", trainer.steps_done(), now, before);
}

}  // namespace music
