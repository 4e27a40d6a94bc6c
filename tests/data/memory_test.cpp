// The loader over many epochs: resident memory stays flat, and once warm a
// sample costs no allocation of ours (libjpeg has a pool an image).
// MUSIC_SOAK=1 takes 100,000 images.

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>
#include <vector>

#include "data/loader.h"
#include "data/picture_format.h"
#include "data/shard_writer.h"
#include "tests/data/image_goldens.h"
#include "tests/data/open_dataset.h"
#include "tests/data/photos.h"
#include "tests/data/temporary_folder.h"

namespace {
std::atomic<std::int64_t> allocations = 0;
}  // namespace

// Counted for the whole test program. Not inlined: where GCC inlines one of a
// pair alone it takes them for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes,
                                     const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

TEST_SUITE("memory") {
  using namespace music::data;

  static double resident_mib() {
    std::ifstream file("/proc/self/statm");
    std::int64_t size = 0, resident = 0;
    file >> size >> resident;
    return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
  }

  // MiB per 10,000 images by least squares.
  static double slope(const std::vector<double>& mib, double images_between) {
    const auto n = static_cast<double>(mib.size());
    double x = 0, y = 0, xx = 0, xy = 0;
    for (std::size_t i = 0; i < mib.size(); ++i) {
      const double at = static_cast<double>(i) * images_between / 10'000;
      x += at;
      y += mib[i];
      xx += at * at;
      xy += at * mib[i];
    }
    return (n * xy - x * y) / (n * xx - x * x);
  }

  // A folder of photographs, or of the goldens, and its shards.
  struct Images {
    TemporaryFolder f;
    std::string folder, shards = f.path("shards");
    Images() {
      if (const auto shared = shared_data()) {
        folder = (*shared / "imagenette-224" / "val").string();
      } else {
        folder = f.path("in");
        const ImageGoldens goldens;
        for (const GoldenCase& c : goldens.of("file"))
          if (picture_format(c.bytes) == PictureFormat::kJpeg)
            f.write("in/" + c.parameters[0] + ".jpg",
                    {reinterpret_cast<const char*>(c.bytes.data()),
                     c.bytes.size()});
      }
      ShardSpec spec;
      spec.out = shards;
      write_shards(*open(folder), spec);
    }
  };

  static LoaderSpec spec(const Dataset& d) {
    LoaderSpec s;
    s.augment.size = 64;
    s.batch = std::min<std::int64_t>(100, d.size());
    s.workers = 2;
    return s;
  }

  TEST_CASE("resident memory is flat") {
    const Images images;
    const auto set = open(images.folder);
    Loader loader(*set, spec(*set));
    const std::int64_t count = std::getenv("MUSIC_SOAK") ? 100'000 : 2'000;
    const std::int64_t samples_between = count / 50;
    std::int64_t seen = 0;
    std::vector<double> mib;
    while (seen < count) {
      seen += loader.next().n;
      // The first tenth warms up.
      if (seen > count / 10 + static_cast<std::int64_t>(mib.size()) *
                                  samples_between)
        mib.push_back(resident_mib());
    }
    const double growth = slope(mib, static_cast<double>(samples_between));
    MESSAGE(seen << " images: " << growth << " MiB per 10,000, "
                 << mib.back() - mib.front() << " MiB from the tenth on, "
                 << mib.back() << " MiB resident");
    // Of few images, the slope is what a page or two make it.
    CHECK((std::getenv("MUSIC_SOAK") ? growth < 1
                                     : mib.back() - mib.front() < 4));
  }

  TEST_CASE("a warm loader allocates nothing per sample") {
    const Images images;
    for (const std::string& path : {images.folder, images.shards}) {
      const auto set = open(path);
      Loader loader(*set, spec(*set));
      const auto take = [&](std::int64_t least) {
        std::int64_t samples = 0;
        while (samples < least) samples += loader.next().n;
        return samples;
      };
      // Until every worker has met the largest image, also of a small set.
      take(std::max<std::int64_t>(1000, 3 * set->size()));
      const std::int64_t before = allocations;
      const std::int64_t samples = take(1000);
      const std::int64_t count = allocations - before;
      MESSAGE(count << " allocations for " << samples << " samples");
      CHECK(count < samples / 2);
    }
  }
}
