// Attribute images: same seed same bytes, balanced and independent factors, a
// table that tells the truth about the files.

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "tools/attributes/dataset.h"
#include "tools/attributes/factors.h"
#include "tools/attributes/render.h"

namespace music {
namespace {

namespace fs = std::filesystem;

struct TemporaryFolder {
  fs::path path = fs::temp_directory_path() /
                  fmt::format("music_attributes_{}", ::getpid());
  TemporaryFolder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~TemporaryFolder() { fs::remove_all(path); }
};

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Relative path -> content of every file below a folder.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[fs::relative(entry.path(), folder)] = slurp(entry.path());
  return files;
}

std::vector<ImageFactors> sample(std::uint64_t seed, std::uint32_t count) {
  std::vector<ImageFactors> images;
  for (std::uint32_t i = 0; i < count; ++i)
    images.push_back(sample_factors(seed, data::Split::kTrain, i));
  return images;
}

std::size_t values_of(std::size_t factor) {
  return factor_table()[factor].values.size();
}

// Normal score of Pearson's statistic of the table factor a x factor b
// (Wilson and Hilferty's cube root).
double dependence(const std::vector<ImageFactors>& images, std::size_t a,
                  std::size_t b) {
  const std::size_t rows = values_of(a), columns = values_of(b);
  std::vector<double> cells(rows * columns), row(rows), column(columns);
  for (const ImageFactors& image : images) {
    const auto i = static_cast<std::size_t>(image.index[a]);
    const auto j = static_cast<std::size_t>(image.index[b]);
    ++cells[i * columns + j];
    ++row[i];
    ++column[j];
  }
  double statistic = 0;
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      const double expected =
          row[i] * column[j] / static_cast<double>(images.size());
      statistic += std::pow(cells[i * columns + j] - expected, 2) / expected;
    }
  const double freedom = static_cast<double>((rows - 1) * (columns - 1));
  const double v = 2 / (9 * freedom);
  return (std::cbrt(statistic / freedom) - (1 - v)) / std::sqrt(v);
}

}  // namespace

TEST_SUITE("attributes") {
  TEST_CASE("every value of every factor comes equally often") {
    for (std::uint32_t count : {97u, 960u}) {
      const auto images = sample(3, count);
      for (std::size_t f = 0; f < kFactors; ++f) {
        std::vector<int> seen(values_of(f));
        for (const ImageFactors& image : images)
          ++seen.at(static_cast<std::size_t>(image.index[f]));
        const auto [low, high] = std::minmax_element(seen.begin(), seen.end());
        INFO(factor_table()[f].name);
        CHECK(*high - *low <= 1);
      }
    }
  }

  TEST_CASE("factors are independent") {
    auto images = sample(1, 12000);
    // 55 pairs: a score of 4 by chance has probability 0.002.
    for (std::size_t a = 0; a < kFactors; ++a)
      for (std::size_t b = 0; b < a; ++b) {
        INFO(factor_table()[a].name, " and ", factor_table()[b].name);
        CHECK(dependence(images, a, b) < 4);
      }
    // The test can see a dependence: one image in ten copies its column.
    for (std::size_t i = 0; i < images.size(); i += 10)
      images[i].index[7] = images[i].index[6];
    CHECK(dependence(images, 6, 7) > 4);
  }

  TEST_CASE("continuous values lie in the part their name says") {
    for (const ImageFactors& image : sample(5, 300)) {
      CHECK((image.of(Factor::kColumn) == 0) == (image.x < 0.44));
      CHECK((image.of(Factor::kRow) == 2) == (image.y >= 0.56));
      CHECK((image.of(Factor::kTilt) == 0) == (image.rotation < -10));
      CHECK(image.hue >= 0);
      CHECK(image.hue < 360);
    }
  }

  TEST_CASE("every factor changes the picture") {
    const ImageFactors base = sample_factors(0, data::Split::kTrain, 0);
    const auto draw = [](const ImageFactors& f) {
      const data::Image image = render_attribute_image(
          f, 32, nuisance_rng(0, data::Split::kTrain, 0));
      return std::vector(image.data(), image.data() + image.bytes());
    };
    const auto pixels = draw(base);
    CHECK(pixels.size() == 32 * 32 * 3);
    CHECK(draw(base) == pixels);
    for (Factor f : {Factor::kShape, Factor::kTexture, Factor::kBackground,
                     Factor::kBackgroundColour, Factor::kLight}) {
      ImageFactors other = base;
      int& index = other.index[static_cast<std::size_t>(f)];
      index = index == 0 ? 1 : 0;
      INFO(static_cast<int>(f));
      CHECK(draw(other) != pixels);
    }
    for (double ImageFactors::*value :
         {&ImageFactors::scale, &ImageFactors::x, &ImageFactors::y,
          &ImageFactors::rotation, &ImageFactors::gain, &ImageFactors::hue,
          &ImageFactors::noise}) {
      ImageFactors other = base;
      other.*value *= 1.2;
      CHECK(draw(other) != pixels);
    }
  }

  TEST_CASE("same seed, same files, for any number of threads") {
    TemporaryFolder folder;
    AttributeDataSpec spec;
    spec.train = 24;
    spec.test = 8;
    spec.size = 32;
    std::map<std::string, std::string> first;
    for (int threads : {1, 3}) {
      spec.out = folder.path / fmt::format("threads{}", threads);
      write_attribute_data(spec, threads);
      if (threads == 1) first = contents(spec.out);
    }
    CHECK(first.size() == 24 + 8 + 2);
    CHECK(contents(spec.out) == first);

    // The first images do not depend on how many there are.
    spec.train = 12;
    spec.out = folder.path / "fewer";
    write_attribute_data(spec, 2);
    for (const auto& [name, bytes] : contents(spec.out))
      if (name.ends_with(".jpg")) CHECK(first.at(name) == bytes);

    spec.seed = 1;
    spec.out = folder.path / "seed1";
    write_attribute_data(spec, 2);
    std::set<std::string> images;
    for (const auto& [name, bytes] : first) images.insert(bytes);
    for (const auto& [name, bytes] : contents(spec.out))
      CHECK(images.count(bytes) == 0);
  }

  TEST_CASE("the table names every file once, in its class folder") {
    TemporaryFolder folder;
    AttributeDataSpec spec;
    spec.out = folder.path / "set";
    spec.train = 16;
    spec.test = 8;
    spec.size = 32;
    spec.label = Factor::kTexture;
    write_attribute_data(spec, 2);
    std::ifstream csv(spec.out / "attributes.csv");
    std::string line;
    std::getline(csv, line);
    CHECK(line ==
          "file,split,shape,texture,colour,background,background_colour,size,"
          "column,row,tilt,light,brightness,scale,x,y,rotation,gain,hue,noise");
    const auto columns = std::count(line.begin(), line.end(), ',');
    std::set<std::string> listed;
    while (std::getline(csv, line)) {
      CHECK(std::count(line.begin(), line.end(), ',') == columns);
      std::istringstream row(line);
      std::string file, split, shape, texture;
      std::getline(row, file, ',');
      std::getline(row, split, ',');
      std::getline(row, shape, ',');
      std::getline(row, texture, ',');
      CHECK(file.starts_with(split + "/" + texture + "/img_"));
      CHECK(listed.insert(file).second);
    }
    std::set<std::string> there;
    for (const auto& [name, bytes] : contents(spec.out))
      if (name.ends_with(".jpg")) there.insert(name);
    CHECK(listed == there);
    CHECK(listed.size() == 24);
  }

  TEST_CASE("a folder that holds something is left alone") {
    TemporaryFolder folder;
    std::ofstream(folder.path / "mine.txt") << "x";
    AttributeDataSpec spec;
    spec.out = folder.path;
    try {
      write_attribute_data(spec, 1);
      FAIL("expected an error");
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kUsage);
      CHECK(std::string(e.what()).find("not an empty folder") !=
            std::string::npos);
    }
    CHECK(contents(folder.path).size() == 1);
    spec.out = "/proc/nowhere";
    try {
      write_attribute_data(spec, 1);
      FAIL("expected an error");
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kData);
    }
  }
}

}  // namespace music
