#include "music/files/metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace music {
namespace {

using nlohmann::json;

std::string text_of(const std::string& s) {
  return json(s).dump(-1, ' ', false, json::error_handler_t::replace);
}

struct ToJson {
  std::string operator()(double v) const {
    return std::isfinite(v) ? fmt::format("{}", v) : "null";
  }
  std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
  std::string operator()(const std::string& v) const { return text_of(v); }
};

// The length up to and with the last newline.
std::int64_t whole_lines(const std::filesystem::path& path,
                         std::int64_t bytes) {
  std::ifstream in(path, std::ios::binary);
  for (std::int64_t end = bytes; in && end > 0; --end) {
    in.seekg(end - 1);
    if (in.get() == '\n') return end;
  }
  return 0;
}

}  // namespace

std::string to_json(const Metrics& metrics) {
  std::string out = "{";
  for (const auto& [name, value] : metrics) {
    if (out.size() > 1) out += ',';
    out += fmt::format("{}:{}", text_of(name), std::visit(ToJson{}, value));
  }
  return out + '}';
}

MetricsWriter::MetricsWriter(const std::filesystem::path& path) : file_(path) {
  file_.truncate_to(whole_lines(path, file_.bytes()));
}

void MetricsWriter::write(const Metrics& metrics) {
  file_.append(to_json(metrics) + '\n');
}

}  // namespace music
