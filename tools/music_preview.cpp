// music_preview: a contact sheet of images and the two views that training
// would see of them.

#include <algorithm>
#include <filesystem>

#include "data/loader.h"
#include "data/png.h"
#include "data/written_name.h"
#include "dist/threads.h"
#include "engine/core/log.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "music/report/contact_sheet.h"
#include "tools/cli.h"
#include "tools/training_cli.h"

namespace {

using namespace music;

// A sheet among the images would be one of them from then on.
void refuse_inside(const std::string& sheet, const std::string& data) {
  namespace fs = std::filesystem;
  std::error_code failure;
  if (!fs::is_directory(data, failure)) return;
  const fs::path from = fs::weakly_canonical(fs::absolute(sheet), failure);
  const fs::path relative = from.lexically_relative(fs::weakly_canonical(data, failure));
  if (!failure && !relative.empty() && *relative.begin() != "..")
    throw error(ExitCode::kUsage,
                "[preview] {} would lie among the images of {}: expected --sheet with "
                "another path", sheet, data);
}

int preview_main(int argc, char** argv) {
  CLI::App app(
      "Writes a PNG of images beside the two views that training would see of "
      "them, under the same configuration as music_train.");
  std::string path = "preview.png";
  std::int64_t images = 12, epoch = 0;
  int columns = 2;
  app.add_option("--sheet", path, "the PNG to write")->capture_default_str();
  app.add_option("--images", images, "how many: the first of the epoch")
      ->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--columns", columns, "images side by side")
      ->check(CLI::Range(1, 20))->capture_default_str();
  app.add_option("--epoch", epoch, "from 0; every epoch has views of its own")
      ->check(CLI::Range(0, 1'000'000))->capture_default_str();
  const auto config = configure_training(app, argc, argv);
  if (!config) return 0;
  const Config& c = config->value;
  require(c, {"data.path"});
  data::require_extension("--sheet", path, "a PNG", {"png"});
  refuse_inside(path, c.data.path);
  setup_logging(c.train.log_level);

  const auto dataset = data::subset(
      data::open_dataset(c.data.path, c.data.format, data::Split::kPretrain),
      c.data.limit, c.train.seed);
  data::LoaderSpec spec;
  spec.augment = c.augment;
  spec.seed = c.train.seed;
  spec.batch = std::min(images, dataset->size());
  spec.bad_image = c.data.bad_image;
  spec.bad_share = 1;
  spec.workers = dist::choose_threads(0, c.data.workers).loader;
  data::Loader loader(*dataset, spec);
  loader.seek(epoch, 0);
  const data::Batch& batch = loader.next();

  const int size = c.augment.size;
  ContactSheet sheet(batch.n, {{size, size, size}, size, columns});
  data::Image source;
  for (std::int64_t i = 0; i < batch.n; ++i) {
    try {
      dataset->read(batch.samples[static_cast<std::size_t>(i)], source);
      sheet.put_whole(i, 0, source);
    } catch (const Error& e) {  // its views are another image's
      if (e.code() != ExitCode::kData) throw;
    }
    for (int view = 0; view < 2; ++view)
      sheet.put(i, 1 + view,
                batch.pixels.as<std::uint8_t>() +
                    (view * batch.n + i) * 3 * size * size,
                size, size);
  }
  const std::vector<std::uint8_t> png = data::encode_png(sheet.image());
  FileWriter file(path);
  file.write(std::as_bytes(std::span(png)));
  file.commit();
  fmt::print("{}: {} of {} images, each as source, view 1, view 2\n", path,
             batch.n, dataset->size());
  for (const data::BadSample& bad : loader.quarantine())
    fmt::print("cannot be read: {}: {}\n", one_line(bad.name), bad.reason);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, preview_main);
}
