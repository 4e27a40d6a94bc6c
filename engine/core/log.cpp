#include "engine/core/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

// %* of the pattern.
class MessageInOneLine : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& to) override {
    const std::string line =
        one_line({message.payload.data(), message.payload.size()});
    to.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<MessageInOneLine>();
  }
};

}  // namespace

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
  if (!file.empty()) try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
    } catch (const spdlog::spdlog_ex& e) {
      throw error(ExitCode::kUsage,
                  "[log] {}: expected a folder that can be written to", e.what());
    }
  auto logger =
      std::make_shared<spdlog::logger>("music", sinks.begin(), sinks.end());
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<MessageInOneLine>('*').set_pattern(
      size > 1 ? fmt::format("%H:%M:%S %^%l%$ r{} %*", rank)
               : "%H:%M:%S %^%l%$ %*");
  logger->set_formatter(std::move(formatter));
  logger->set_level(parsed);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace music
