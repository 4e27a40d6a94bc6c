#pragma once
// What is logged while one of these lives, in place of standard error.

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

namespace music::data {

class Logged {
 public:
  Logged() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(said_)));
    spdlog::set_pattern("%l %v");
  }
  ~Logged() { spdlog::set_default_logger(before_); }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;

  std::string text() const { return said_.str(); }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream said_;
};

}  // namespace music::data
