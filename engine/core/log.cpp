#include "engine/core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <vector>

#include "engine/core/error.h"

namespace music {

void setup_logging(const std::string& level, int rank, int size,
                   const std::string& file) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off")
    throw error(ExitCode::kUsage,
                "[log] level \"{}\" is not one of trace, debug, info, warn, "
                "error, off", level);
  std::vector<spdlog::sink_ptr> sinks;
  // Ranks other than 0 speak to their file only.
  if (rank == 0)
    sinks.push_back(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  if (!file.empty())
    sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
  auto logger =
      std::make_shared<spdlog::logger>("music", sinks.begin(), sinks.end());
  logger->set_pattern(size > 1 ? fmt::format("%H:%M:%S %^%l%$ r{} %v", rank)
                               : "%H:%M:%S %^%l%$ %v");
  logger->set_level(parsed);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace music
