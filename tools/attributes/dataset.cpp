#include "tools/attributes/dataset.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "data/jpeg.h"
#include "engine/core/error.h"
#include "tools/attributes/render.h"

namespace music {
namespace {

namespace fs = std::filesystem;

Error cannot_write(const fs::path& path, int code) {
  return error(code == ENOSPC ? ExitCode::kDiskFull : ExitCode::kData,
               "[attributes] cannot write {}: {}", path.string(),
               std::strerror(code));
}

template <typename Bytes>
void write_file(const fs::path& path, const Bytes& bytes) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw cannot_write(path, errno);
}

// Each split and its number of images.
std::array<std::pair<data::Split, std::uint32_t>, 2> splits(
    const AttributeDataSpec& spec) {
  return {{{data::Split::kTrain, spec.train}, {data::Split::kTest, spec.test}}};
}

std::string image_path(const AttributeDataSpec& spec, data::Split split,
                       const ImageFactors& factors, std::uint32_t image) {
  return fmt::format("{}/{}/img_{:06}.jpg", name_of(split),
                     factors.name(spec.label), image);
}

// Images [0, count) of a split, shared out to threads one by one. The first
// failure stops all and is thrown here.
void write_images(const AttributeDataSpec& spec, const fs::path& out,
                  data::Split split, std::uint32_t count, int threads) {
  std::atomic<std::uint32_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      for (std::uint32_t i = next++; i < count; i = next++) {
        const ImageFactors factors = sample_factors(spec.seed, split, i);
        const data::Image image = render_attribute_image(
            factors, spec.size, nuisance_rng(spec.seed, split, i));
        write_file(out / image_path(spec, split, factors, i),
                   data::encode_jpeg(image, spec.quality));
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < threads; ++t) workers.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
}

std::string table(const AttributeDataSpec& spec) {
  std::string csv = "file,split";
  for (const FactorInfo& info : factor_table())
    csv += fmt::format(",{}", info.name);
  csv += ",scale,x,y,rotation,gain,hue,noise\n";
  for (const auto& [split, count] : splits(spec))
    for (std::uint32_t i = 0; i < count; ++i) {
      const ImageFactors f = sample_factors(spec.seed, split, i);
      csv += fmt::format("{},{}", image_path(spec, split, f, i),
                         name_of(split));
      for (std::size_t k = 0; k < kFactors; ++k)
        csv += fmt::format(",{}", f.name(static_cast<Factor>(k)));
      csv += fmt::format(",{:.4f},{:.4f},{:.4f},{:.2f},{:.4f},{:.2f},{:.4f}\n",
                         f.scale, f.x, f.y, f.rotation, f.gain, f.hue, f.noise);
    }
  return csv;
}

std::string read_me(const AttributeDataSpec& spec) {
  std::string text = fmt::format(
      "Attribute images, written by music_attributes: {} for training, {} for "
      "testing,\n{} x {} pixels, JPEG quality {}, seed {}. The folders are the "
      "values of '{}'.\nattributes.csv holds every factor of every image.\n\n",
      spec.train, spec.test, spec.size, spec.size, spec.quality, spec.seed,
      factor_table()[static_cast<std::size_t>(spec.label)].name);
  for (const FactorInfo& info : factor_table()) {
    text += fmt::format("{}: {}:", info.name, info.about);
    for (std::string_view value : info.values)
      text += fmt::format(" {}", value);
    text += '\n';
  }
  text += "noise: standard deviation of the pixel noise, pixels in [0,1]\n";
  return text;
}

}  // namespace

void write_attribute_data(const AttributeDataSpec& spec, int threads) {
  std::error_code code;
  if (fs::exists(spec.out, code) &&
      !(fs::is_directory(spec.out, code) && fs::is_empty(spec.out, code)))
    throw error(ExitCode::kUsage,
                "[attributes] {} exists and is not an empty folder: expected "
                "a new one", spec.out.string());
  fs::path partial = spec.out;
  partial += ".partial";
  fs::remove_all(partial, code);
  const auto& labels =
      factor_table()[static_cast<std::size_t>(spec.label)].values;
  for (const auto& [split, count] : splits(spec)) {
    for (std::string_view label : labels) {
      const fs::path folder = partial / name_of(split) / label;
      fs::create_directories(folder, code);
      if (code) throw cannot_write(folder, code.value());
    }
    write_images(spec, partial, split, count, threads);
  }
  write_file(partial / "attributes.csv", table(spec));
  write_file(partial / "README.txt", read_me(spec));
  fs::rename(partial, spec.out, code);  // replaces an empty folder
  if (code) throw cannot_write(spec.out, code.value());
}

}  // namespace music
