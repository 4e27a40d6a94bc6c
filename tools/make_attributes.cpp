// music_attributes: writes labelled images whose factors are known.

#include <algorithm>
#include <string>
#include <vector>

#include "dist/threads.h"
#include "tools/attributes/dataset.h"
#include "tools/cli.h"

namespace {

int make_attributes(int argc, char** argv) {
  music::AttributeDataSpec spec;
  std::string label = "shape";
  std::vector<std::string> labels;
  for (const auto& info : music::factor_table()) labels.emplace_back(info.name);

  CLI::App app(
      "Writes JPEG images of objects before a background, with a table of "
      "their factors (shape, texture, colour, background, light, ...).");
  app.add_option("--out", spec.out, "new folder to write")->required();
  app.add_option("--train", spec.train, "training images")
      ->check(CLI::Range(0, 1'000'000))->capture_default_str();
  app.add_option("--test", spec.test, "test images")
      ->check(CLI::Range(0, 1'000'000))->capture_default_str();
  app.add_option("--size", spec.size, "pixels a side")
      ->check(CLI::Range(16, 1024))->capture_default_str();
  app.add_option("--seed", spec.seed, "same seed, same files")
      ->capture_default_str();
  app.add_option("--quality", spec.quality, "JPEG quality")
      ->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--label", label, "factor that names the class folders")
      ->check(CLI::IsMember(labels))->capture_default_str();
  if (!music::parse(app, argc, argv)) return 0;
  const auto chosen = std::find(labels.begin(), labels.end(), label);
  spec.label = static_cast<music::Factor>(chosen - labels.begin());

  music::write_attribute_data(spec, music::dist::choose_threads(0, 0).loader);
  fmt::print("{}: {} training and {} test images of {} x {}, labelled by {}\n",
             spec.out.string(), spec.train, spec.test, spec.size, spec.size,
             label);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, make_attributes);
}
