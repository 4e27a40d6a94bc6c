#include "music/train/run_files.h"

namespace music {

RunFiles::RunFiles(const ResolvedConfig& config,
                   const std::vector<std::string>& argv,
                   const dist::Threads& threads)
    : directory(config, argv, threads),
      metrics(directory.metrics()),
      quarantine(directory.quarantine(), config.value.data.bad_image) {}

void RunFiles::record(const RunRecord& r) {
  Metrics line = {{"epoch", r.step.epoch}, {"step", r.step.step},
                  {"loss", r.report.loss}, {"time", r.seconds},
                  {"lr", r.step.rate}};
  std::vector<std::pair<std::string, double>> scalars = {
      {"loss/total", r.report.loss}};
  for (const Gauge& g : r.report.gauges)
    std::visit([&](auto value) {
      line.emplace_back(g.name, value);
      if (!g.tag.empty()) scalars.emplace_back(g.tag, value);
    }, g.value);
  line.insert(line.end(), {{"images_per_s", r.images_per_second},
                           {"data_wait", r.data_wait},
                           {"skipped_steps", r.skipped_steps},
                           {"bad_images", quarantine.count()}});
  scalars.insert(scalars.end(), {{"lr", r.step.rate},
                                 {"speed/images_per_s", r.images_per_second},
                                 {"speed/data_wait", r.data_wait}});
  metrics.write(line);
  tensorboard->write(r.step.step, scalars);
}

}  // namespace music
