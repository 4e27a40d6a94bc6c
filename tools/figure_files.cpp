#include "tools/figure_files.h"

#include <algorithm>
#include <span>

#include "data/png.h"
#include "engine/core/error.h"

namespace music {
namespace fs = std::filesystem;
namespace {

bool is_gallery(const std::string& name) {
  return name.starts_with("unit-") && name.ends_with(".png") &&
         name.find_first_not_of("0123456789", 5) == name.size() - 4;
}

}  // namespace

MadeFolder::MadeFolder(const fs::path& folder) : folder_(folder) {
  std::error_code failure;
  for (fs::path path = folder; !path.empty() && !fs::exists(path, failure);
       path = path.parent_path())
    if (path.has_filename()) made_.push_back(path);
  fs::create_directories(folder, failure);
  if (failure)
    throw error(ExitCode::kUsage, "[figures] {} cannot be made: {}",
                folder.string(), failure.message());
}

MadeFolder::~MadeFolder() {
  std::error_code ignored;
  for (const fs::path& path : made_) fs::remove(path, ignored);
}

FigureFiles::FigureFiles(const fs::path& folder)
    : folder_(folder), json_(folder / "figures.json") {}

void FigureFiles::add(const std::string& name, const data::Image& image) {
  auto writer = std::make_unique<FileWriter>(folder_.path() / name);
  const std::vector<std::uint8_t> png = data::encode_png(image);
  writer->write(std::as_bytes(std::span(png)));
  pictures_.emplace_back(name, std::move(writer));
}

void FigureFiles::commit(const std::string& json) {
  for (auto& [name, writer] : pictures_) writer->commit();
  json_.write(json);
  json_.commit();
  folder_.keep();
  // Names alone: removing while a directory is read leaves open what comes next.
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    const std::string name = entry.path().filename().string();
    if (is_gallery(name) &&
        std::ranges::none_of(pictures_, [&](const auto& p) { return p.first == name; }))
      old.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& path : old) fs::remove(path, ignored);
}

std::string FigureFiles::gallery_name(std::int64_t unit) {
  return fmt::format("unit-{:05}.png", unit);
}

}  // namespace music
