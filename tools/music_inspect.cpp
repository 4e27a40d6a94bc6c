// music_inspect: what a file or directory holds.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/core/log.h"
#include "engine/core/text.h"
#include "tools/cli.h"
#include "tools/inspect_file.h"

namespace {

using namespace music;
using Json = nlohmann::ordered_json;

Json number(double v) { return std::isfinite(v) ? Json(v) : Json(); }

Json to_json(const Inspected& content, const std::string& path, bool stats) {
  Json facts = Json::object(), tensors = Json::array();
  for (const auto& [key, value] : content.facts) facts[key] = value;
  for (const auto& row : content.rows) {
    Json j = {{"name", row.name}, {"dtype", row.dtype}, {"shape", row.shape},
              {"bytes", row.bytes}};
    if (stats && row.values) {
      const Statistics s = statistics(*row.values);
      j["min"] = number(s.min);
      j["max"] = number(s.max);
      j["mean"] = number(s.mean);
      j["nan"] = s.nan;
      j["infinite"] = s.infinite;
      j["zero"] = s.zero;
    }
    tensors.push_back(std::move(j));
  }
  return {{"path", path}, {"kind", content.kind}, {"facts", facts},
          {"entries", tensors}};
}

std::string table(const Inspected& content, const std::string& path,
                  bool stats) {
  std::string out = fmt::format("{}: {}\n", one_line(path), content.kind);
  const auto add = [&]<typename... A>(fmt::format_string<A...> f, A&&... a) {
    fmt::format_to(std::back_inserter(out), f, std::forward<A>(a)...);
  };
  for (const auto& [key, value] : content.facts)
    add("  {}: {}\n", one_line(key), one_line(value));
  if (content.rows.empty()) return out;
  std::size_t name = 4, shape = 5;
  for (const auto& row : content.rows) {
    name = std::max(name, one_line(row.name).size());
    shape = std::max(shape, row.shape.size());
  }
  add("\n{:<{}}  {:<10}  {:<{}}  {:>12}", "name", name, "type", "shape", shape,
      "bytes");
  if (stats)
    add("  {:>12}  {:>12}  {:>12}  {:>8}", "min", "max", "mean", "NaN");
  out += '\n';
  std::uint64_t bytes = 0;
  for (const auto& row : content.rows) {
    bytes += row.bytes;
    add("{:<{}}  {:<10}  {:<{}}  {:>12}", one_line(row.name), name, row.dtype,
        row.shape, shape, row.bytes);
    if (stats && row.values) {
      const Statistics s = statistics(*row.values);
      add("  {:>12.6g}  {:>12.6g}  {:>12.6g}  {:>8}", s.min, s.max, s.mean,
          s.nan + s.infinite);
    }
    out += '\n';
  }
  add("{} entries, {} bytes\n", content.rows.size(), bytes);
  return out;
}

std::string text(const Difference& d, const std::string& a,
                 const std::string& b) {
  std::string out;
  for (const std::string& line : d.lines) out += one_line(line) + '\n';
  return out + fmt::format(
                   "{} equal, {} different (-: only in {}, +: only in {})\n",
                   d.equal, d.different, one_line(a), one_line(b));
}

// A reader that has seen enough (head) is no error.
void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

std::string line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

int inspect_main(int argc, char** argv) {
  CLI::App app("Lists what a file or directory holds: safetensors, npy, npz, "
               "ONNX, PyTorch's zip, checkpoints (verified), run directories.");
  std::string path, other;
  bool json = false, stats = false;
  app.add_option("path", path, "the file or directory")->required();
  app.add_flag("--json", json, "print one JSON object");
  app.add_flag("--stats", stats,
               "smallest, largest and mean value of each tensor, and how many are "
               "NaN or infinite");
  app.add_option("--diff", other,
                 "compare with this one, tensor by tensor; exit 1 when they differ");
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");
  const Inspected content = inspect(path);
  if (other.empty()) {
    print(json ? line(to_json(content, path, stats))
               : table(content, path, stats));
    return 0;
  }
  const Difference d = difference(content, inspect(other));
  print(json ? line({{"equal", d.equal}, {"different", d.different},
                     {"lines", d.lines}})
             : text(d, path, other));
  return d.different == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, inspect_main);
}
