// Features of other programs: the types numpy writes, and parts of them.
#include "tools/stored_features.h"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "engine/core/half.h"
#include "engine/io/npy.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
namespace fs = std::filesystem;
using test::Scratch;

// A .npy as numpy writes it, of any type.
template <typename T>
void write(const fs::path& path, const std::string& type,
           const std::string& shape, const std::vector<T>& values) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " +
                       shape + ", }";
  header.resize(117, ' ');
  header += '\n';
  std::ofstream out(path, std::ios::binary);
  out << std::string("\x93NUMPY\x01\x00", 8) << '\x76' << '\0' << header;
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
}

std::string message(const fs::path& folder) {
  try {
    open_stored_features(folder);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    return e.what();
  }
  return "";
}

TEST_SUITE_BEGIN("stored_features");

TEST_CASE("every type of number, and parts") {
  const std::vector<float> expected{1, -2, 0.5f, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<int> labels{2, 0, 1, 1, 0};
  const std::vector<double> f64(expected.begin(), expected.end());
  std::vector<Half> f16;
  for (const float v : expected) f16.push_back(to_half(v));
  const std::vector<std::int64_t> i64(labels.begin(), labels.end());
  const std::vector<std::int32_t> i32(labels.begin(), labels.end());
  const std::vector<std::uint8_t> u8(labels.begin(), labels.end());
  for (int kind = 0; kind < 3; ++kind) {
    CAPTURE(kind);
    const Scratch s;
    const fs::path features = s.path / "features.npy", l = s.path / "labels.npy";
    if (kind == 0) write(features, "<f4", "(5, 2)", expected), write(l, "<i8", "(5,)", i64);
    if (kind == 1) write(features, "<f8", "(5, 2)", f64), write(l, "<i4", "(5,)", i32);
    if (kind == 2) write(features, "<f2", "(5, 2)", f16), write(l, "|u1", "(5,)", u8);
    const Features whole = read_stored_features(s.path);
    CHECK(whole.count == 5);
    CHECK(whole.width == 2);
    CHECK(whole.values == expected);
    CHECK(whole.labels == labels);
    std::vector<float> parts;
    std::vector<int> part_labels;
    for (int r = 0; r < 3; ++r) {
      const Features f = read_stored_features(s.path, r, 3);
      CHECK(static_cast<std::int64_t>(f.values.size()) == 2 * f.count);
      parts.insert(parts.end(), f.values.begin(), f.values.end());
      part_labels.insert(part_labels.end(), f.labels.begin(), f.labels.end());
    }
    CHECK(parts == expected);
    CHECK(part_labels == labels);
    const auto set = open_stored_features(s.path);
    CHECK(set->size() == 5);
    CHECK(set->label(0) == 2);
    CHECK(set->classes() == std::vector<std::string>{"0", "1", "2"});
    std::vector<std::uint8_t> row;
    CHECK(set->read_file(1, row));
    CHECK(row.size() == (kind == 0 ? 8 : kind == 1 ? 16 : 4));
  }
}

TEST_CASE("more numbers than are converted at a time") {
  const Scratch s;
  std::vector<double> values(300'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  write(s.path / "features.npy", "<f8", "(3, 100000)", values);
  write(s.path / "labels.npy", "<i8", "(3,)", std::vector<std::int64_t>{0, 1, 0});
  const Features f = read_stored_features(s.path);
  CHECK(f.values == std::vector<float>(values.begin(), values.end()));
}

TEST_CASE("what is no set of features is named") {
  const Scratch s;
  const std::vector<float> six(6);
  const std::vector<std::int64_t> three{0, 1, 2};
  CHECK(message(s.path).find("features.npy") != std::string::npos);
  write(s.path / "features.npy", "<f4", "(6,)", six);
  CHECK(message(s.path).find("holds F32 [6]: expected f32, f64 or f16 of shape "
                             "(images, width)") != std::string::npos);
  write(s.path / "features.npy", "<f4", "(3, 2)", six);
  CHECK(message(s.path).find("labels.npy") != std::string::npos);
  write(s.path / "labels.npy", "<i8", "(3,)", three);
  CHECK(message(s.path).empty());
  write(s.path / "labels.npy", "<i8", "(3, 1)", three);
  CHECK(message(s.path).find("of shape (3,), one a row") != std::string::npos);
  write(s.path / "labels.npy", "<f4", "(3,)", std::vector<float>{0, 1, 2});
  CHECK(message(s.path).find("holds F32 [3]: expected i64, i32 or u8") !=
        std::string::npos);
  // Numbers that are no classes are no labels.
  write(s.path / "labels.npy", "<i8", "(3,)",
        std::vector<std::int64_t>{0, -5, std::int64_t{1} << 40});
  CHECK(read_stored_features(s.path).labels == std::vector<int>{0, -1, -1});
}

TEST_SUITE_END();

}  // namespace
