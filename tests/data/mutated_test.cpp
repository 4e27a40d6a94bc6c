// Mutated images through the whole pipeline: shard, decoder, augmentation,
// loader. MUSIC_SOAK=1 takes the full number; the sanitizers watch.

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "data/decode.h"
#include "data/loader.h"
#include "data/picture_format.h"
#include "data/tar.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "tests/data/image_goldens.h"
#include "tests/data/open_dataset.h"
#include "tests/data/photos.h"
#include "tests/data/png_checksums.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("mutated") {
  using namespace music::data;
  using Bytes = std::vector<std::uint8_t>;

  // Files small enough to take thousands of: the goldens, and photographs
  // where there are some.
  static std::vector<Bytes> originals(PictureFormat kind) {
    std::vector<Bytes> files;
    const ImageGoldens goldens;
    for (const GoldenCase& c : goldens.of("file"))
      if (picture_format(c.bytes) == kind)
        files.emplace_back(c.bytes.begin(), c.bytes.end());
    const auto shared = shared_data();
    if (!shared || kind == PictureFormat::kWebp) return files;
    const auto folder = kind == PictureFormat::kJpeg
                            ? *shared / "imagenette-224/val/n01440764"
                            : *shared / "odd/pngsuite";
    for (const auto& path : files_below(folder)) {
      Bytes bytes = read_bytes(path);
      if (picture_format(bytes) == kind) files.push_back(std::move(bytes));
    }
    return files;
  }

  class Mutator {
   public:
    explicit Mutator(std::uint32_t number)
        : rng_(1, music::RngPurpose::kTest, number) {}

    Bytes mutate(const std::vector<Bytes>& files) {
      Bytes bytes = files[below(files.size())];
      const std::size_t times = 1 + below(3);
      for (std::size_t k = 0; k < times && bytes.size() > 32; ++k) {
        const Bytes& other = files[below(files.size())];
        switch (below(6)) {
          case 0: flip_bits(bytes); break;
          case 1: bytes.resize(16 + below(bytes.size() - 16)); break;
          case 2: splice(bytes, other); break;
          case 3: marker(bytes); break;
          case 4: dimensions(bytes); break;
          default: remove(bytes); break;
        }
      }
      if (picture_format(bytes) == PictureFormat::kPng) fix_checksums(bytes);
      return bytes;
    }

   private:
    std::size_t below(std::size_t n) {
      return rng_.below(static_cast<std::uint32_t>(n));
    }
    std::uint8_t byte() { return static_cast<std::uint8_t>(below(256)); }

    void flip_bits(Bytes& bytes) {
      // Often in the headers, which are short.
      const std::size_t span = below(2) ? bytes.size()
                                        : std::min<std::size_t>(
                                              bytes.size(), 700);
      for (std::size_t n = 1 + below(16); n > 0; --n)
        bytes[4 + below(span - 4)] ^=
            static_cast<std::uint8_t>(1u << below(8));
    }
    // A piece of another file over, or into, this one.
    void splice(Bytes& bytes, const Bytes& other) {
      const std::size_t from = below(other.size());
      const std::size_t n = 1 + below(std::min<std::size_t>(
                                    other.size() - from, 2000));
      const auto piece = other.begin() + static_cast<std::ptrdiff_t>(from);
      const std::size_t at = 4 + below(bytes.size() - 4);
      const auto to = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      if (below(2))
        bytes.insert(to, piece, piece + static_cast<std::ptrdiff_t>(n));
      else
        std::copy_n(piece, std::min(n, bytes.size() - at), to);
    }
    // A marker where there was none, or another one in its place.
    void marker(Bytes& bytes) {
      std::size_t at = 4 + below(bytes.size() - 8);
      if (below(2))
        for (std::size_t i = at; i + 4 < bytes.size(); ++i)
          if (bytes[i] == 0xFF && bytes[i + 1] != 0) {
            at = i;
            break;
          }
      bytes[at] = 0xFF;
      bytes[at + 1] = static_cast<std::uint8_t>(0xC0 + below(64));
      if (below(2)) bytes[at + 3] = byte();
    }
    void dimensions(Bytes& bytes) {
      std::size_t at = 16;  // width and height of a PNG, each in four bytes
      if (picture_format(bytes) == PictureFormat::kJpeg) {
        at = 0;
        for (std::size_t i = 2; i + 9 < bytes.size() && at == 0; ++i)
          if (bytes[i] == 0xFF && bytes[i + 1] >= 0xC0 && bytes[i + 1] <= 0xC2)
            at = i + 5;
        if (at == 0) return;
        bytes[at + below(4)] = byte();
        if (below(4) == 0) bytes[at + 5 + below(6)] = byte();  // components
        return;
      }
      if (picture_format(bytes) == PictureFormat::kWebp) {
        // Of a frame, of lossless ones, or of the canvas.
        for (std::size_t n = 1 + below(3); n > 0; --n)
          bytes[20 + below(12)] = byte();
        return;
      }
      bytes[at + 1 + below(3)] = byte();
      bytes[at + 5 + below(3)] = byte();
      if (below(3) == 0) bytes[at + 8 + below(5)] = byte();  // depth, kind, ...
    }
    void remove(Bytes& bytes) {
      const std::size_t at = 4 + below(bytes.size() - 4);
      const std::size_t n = 1 + below(std::min<std::size_t>(
                                    bytes.size() - at, 300));
      const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      bytes.erase(from, from + static_cast<std::ptrdiff_t>(n));
    }

    music::Rng rng_;
  };

  static std::int64_t peak_mib() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  }

  // Of this thread: others may be busy.
  static double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) +
           1e-9 * static_cast<double>(t.tv_nsec);
  }

  static void soak(PictureFormat kind, std::uint32_t count) {
    const std::vector<Bytes> files = originals(kind);
    const std::int64_t peak = peak_mib();
    double slowest = 0;
    std::int64_t accepted = 0;
    constexpr std::uint32_t kBatch = 500;
    for (std::uint32_t first = 0; first < count; first += kBatch) {
      const std::uint32_t n = std::min(kBatch, count - first);
      const TemporaryFolder f;
      Image image;
      std::int64_t good = 0;
      {
        TarWriter tar(f.path("m-0.tar"));
        for (std::uint32_t i = first; i < first + n; ++i) {
          const Bytes bytes = Mutator(i).mutate(files);
          tar.add(std::to_string(i) + ".jpg", std::as_bytes(std::span(bytes)));
          const double begin = cpu_seconds();
          try {
            decode_image(bytes, image);
            ++good;
          } catch (const music::Error& failure) {
            REQUIRE(failure.code() == music::ExitCode::kData);
          }
          slowest = std::max(slowest, cpu_seconds() - begin);
        }
        tar.commit();
      }
      accepted += good;
      const auto set = open(f.path("m-0.tar"));
      LoaderSpec spec;
      spec.augment.size = 32;
      spec.batch = 50;
      spec.workers = 2;
      spec.bad_image = BadImage::kZero;
      spec.bad_share = 1;
      Loader loader(*set, spec);
      for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b)
        loader.next();
      std::set<std::string> listed;
      for (const BadSample& bad : loader.quarantine()) listed.insert(bad.name);
      CHECK(listed.size() == loader.quarantine().size());
      CHECK(static_cast<std::int64_t>(listed.size()) == n - good);
    }
    MESSAGE(count << " mutations of " << files.size() << " files, " << accepted
                  << " decode; slowest " << slowest << " s, peak memory +"
                  << peak_mib() - peak << " MiB");
    CHECK(accepted > count / 100);  // or nothing would be tested
    CHECK(accepted < count);
    CHECK(slowest < 2);
    CHECK(peak_mib() - peak < 600);
  }

  static std::uint32_t number(std::uint32_t full) {
    return std::getenv("MUSIC_SOAK") ? full : full / 20;
  }

  TEST_CASE("mutated JPEGs: no crash, bounded time and memory") {
    soak(PictureFormat::kJpeg, number(10'000));
  }

  TEST_CASE("mutated PNGs: no crash, bounded time and memory") {
    soak(PictureFormat::kPng, number(2'000));
  }

  TEST_CASE("mutated WebPs: no crash, bounded time and memory") {
    soak(PictureFormat::kWebp, number(10'000));
  }
}
