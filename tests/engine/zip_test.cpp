#include "engine/io/zip.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "engine/core/error.h"
#include "engine/io/pickle_file.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
using namespace music::test;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void spill(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// What reading the directory and every entry's place says; "": nothing.
std::string complaint(const std::filesystem::path& path) {
  try {
    const FileReader file(path);
    for (const ZipEntry& e : zip_entries(file)) zip_data_offset(file, e);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    return e.what();
  }
  return "";
}

// A dictionary of all types and ranks, 20 numbers in all.
std::vector<TensorEntry> tensors() {
  static const std::vector<float> f{1, -2, 3.5f, 0, 5, 6};
  static const std::vector<double> d{0.1, -1e300};
  static const std::vector<std::int64_t> l{-7};
  static const std::vector<std::uint8_t> u{1, 2, 255};
  return {{"a.weight", DType::kF32, {2, 3}, std::as_bytes(std::span(f))},
          {"d", DType::kF64, {2}, std::as_bytes(std::span(d))},
          {"n", DType::kI64, {}, std::as_bytes(std::span(l))},
          {"u", DType::kU8, {3, 1}, std::as_bytes(std::span(u))},
          {"none", DType::kF32, {0, 4}, {}}};
}

TEST_SUITE("zip") {
  TEST_CASE("CRC-32: the check value, and in parts") {
    CHECK(crc32(bytes_of("123456789")) == 0xCBF43926);
    CHECK(crc32(bytes_of("6789"), crc32(bytes_of("12345"))) == 0xCBF43926);
    CHECK(crc32({}) == 0);
  }

  TEST_CASE("entries come back, their data at multiples of 64 bytes") {
    const Scratch scratch;
    const auto path = scratch.path / "z";
    ZipWriter zip(path);
    const std::string one = "first", two(1000, 'x'), three = "3";
    zip.add("a/one", one);
    const std::array parts{bytes_of(two), bytes_of(three)};
    zip.add("a/two", parts);
    zip.add("empty", std::string_view());
    zip.commit();
    const FileReader file(path);
    const auto entries = zip_entries(file);
    REQUIRE(entries.size() == 3);
    const std::string expected[] = {one, two + three, ""};
    const char* names[] = {"a/one", "a/two", "empty"};
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(entries[i].name == names[i]);
      CHECK(entries[i].crc == crc32(bytes_of(expected[i])));
      const auto at = zip_data_offset(file, entries[i]);
      CHECK(at % 64 == 0);
      std::string found(entries[i].size, '\0');
      file.read(at, std::as_writable_bytes(std::span(found)));
      CHECK(found == expected[i]);
    }
  }

  TEST_CASE("a damaged directory is refused; whatever is cut off or turned over "
            "breaks nothing") {
    const Scratch scratch;
    const auto path = scratch.path / "z";
    ZipWriter zip(path);
    zip.add("one", std::string_view("first"));
    zip.add("two", std::string_view("second"));
    zip.commit();
    const std::string whole = slurp(path);
    for (std::size_t keep = 0; keep < whole.size(); ++keep) {
      spill(path, whole.substr(0, keep));
      CHECK(complaint(path) != "");
    }
    int refused = 0;
    for (std::size_t at = 0; at < whole.size(); ++at)
      for (const char flip : {'\x01', '\x80', '\xff'}) {
        std::string changed = whole;
        changed[at] ^= flip;
        spill(path, changed);
        refused += complaint(path) != "";
      }
    CHECK(refused > 100);
    // A comment is allowed, and a directory elsewhere is not.
    std::string comment = whole + "hello";
    comment[whole.size() - 2] = 5;
    spill(path, comment);
    CHECK(complaint(path) == "");
    std::string beyond = whole;
    beyond[whole.size() - 6] = '\xff';
    beyond[whole.size() - 5] = '\xff';
    spill(path, beyond);
    CHECK(complaint(path).find("does not lie inside") != std::string::npos);
  }

  // tools/peers/check_exports.py takes these files by MUSIC_KEEP_FILES and compares
  // every tensor by torch.load(weights_only=True), pickle and numpy.load.
  TEST_CASE("files are those that PyTorch 2.15 and NumPy 2.4 have read") {
    const Scratch scratch;
    const auto all = tensors();
    const DictLayout layout{"model", {{"by", std::string("x")}, {"flag", true}}};
    CHECK(write_pth(scratch.path / "t.pth", all).xxh3_128 == "f3415e8770f30dbc0675af305a38fbfc");
    CHECK(write_pth(scratch.path / "m.pth", all, layout).xxh3_128 == "4291efdaa1d792d5b039d6cd885a95fe");
    CHECK(write_pkl(scratch.path / "t.pkl", all, layout).xxh3_128 == "2dbf888cd3289ac8f46e1af8629de0e0");
    CHECK(write_npz(scratch.path / "t.npz", all).xxh3_128 == "f560ded599c0ef29a9cb3025d4ff55a3");
    if (const char* keep = std::getenv("MUSIC_KEEP_FILES"))
      for (const auto& e : std::filesystem::directory_iterator(scratch.path))
        std::filesystem::copy_file(
            e.path(), std::filesystem::path(keep) / e.path().filename(),
            std::filesystem::copy_options::overwrite_existing);
  }

  TEST_CASE("what a format has no type for is said") {
    const Scratch scratch;
    const std::vector<std::uint16_t> bits{0};
    const std::vector<TensorEntry> b{
        {"b", DType::kBF16, {1}, std::as_bytes(std::span(bits))}};
    CHECK_THROWS_WITH_AS(write_pkl(scratch.path / "b.pkl", b),
                         "[pickle] 'b' is BF16, which NumPy has not", Error);
    CHECK(!std::filesystem::exists(scratch.path / "b.pkl"));
    CHECK_NOTHROW(write_pth(scratch.path / "b.pth", b));
  }
}

}  // namespace
