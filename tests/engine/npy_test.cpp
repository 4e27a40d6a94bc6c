#include "engine/io/npy.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/support/scratch.h"

namespace fs = std::filesystem;
using namespace music;
using music::test::Scratch;
using music::test::slurp;

namespace {

void spill(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

template <typename T>
void round_trip(const std::vector<std::int64_t>& shape,
                const std::vector<T>& values) {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.npy";
  write_npy<T>(path, shape, std::span<const T>(values));
  const NpyArray array = read_npy(path);
  CHECK(array.shape == shape);
  const auto read = array.values<T>();
  CHECK(std::vector<T>(read.begin(), read.end()) == values);
  CHECK(slurp(path).size() % 64 == values.size() * sizeof(T) % 64);
}

}  // namespace

TEST_SUITE("npy") {

TEST_CASE("arrays read back") {
  round_trip<float>({2, 3}, {1.5f, -0.0f, 1e-42f, 3, 4, 5});
  round_trip<double>({1}, {0.1});
  round_trip<std::int64_t>({}, {-7});
  round_trip<std::uint8_t>({3, 0, 2}, {});
  round_trip<std::uint8_t>({1, 1, 1, 1, 1, 1, 1, 2}, {0, 255});
}

TEST_CASE("the bytes are those of numpy.save") {
  const Scratch scratch;
  const float values[] = {1, 2};
  write_npy<float>(scratch.path / "x.npy", {2}, values);
  const std::string text = "{'descr': '<f4', 'fortran_order': False, "
                           "'shape': (2,), }";
  const std::string expected =
      std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text +
      std::string(128 - 10 - 1 - text.size(), ' ') + "\n" +
      std::string("\0\0\x80\x3f\0\0\0\x40", 8);
  CHECK(slurp(scratch.path / "x.npy") == expected);
}

TEST_CASE("rows that come in pieces, and whose number is known at the end") {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.npy";
  for (const int rows : {0, 1, 3, 12345}) {
    NpyWriter writer(path, NpyWriter::Type::kF32, {2});
    std::vector<float> written;
    for (int i = 0; i < rows; ++i) {
      const float row[] = {static_cast<float>(i), -1};
      // Pieces need not be rows.
      writer.write<float>(std::span(row).first(1));
      writer.write<float>(std::span(row).last(1));
      written.insert(written.end(), row, row + 2);
    }
    CHECK(writer.commit() == rows);
    const NpyArray array = read_npy(path);
    CHECK(array.shape == std::vector<std::int64_t>{rows, 2});
    const auto read = array.values<float>();
    CHECK(std::vector<float>(read.begin(), read.end()) == written);
  }
  NpyWriter single(path, NpyWriter::Type::kU16, {});
  const std::uint16_t values[] = {1, 65535};
  single.write<std::uint16_t>(values);
  CHECK(single.commit() == 2);
  const std::string bytes = slurp(path);
  CHECK(bytes.find("'<u2', 'fortran_order': False, 'shape': (2,), }") == 20);
  CHECK(bytes.size() == 128 + 4);
  CHECK(bytes.ends_with(std::string("\x01\x00\xff\xff", 4)));
}

TEST_CASE("rows of another file") {
  const Scratch scratch;
  const auto write = [&](const char* name, std::int64_t width,
                         std::vector<float> values) {
    NpyWriter writer(scratch.path / name, NpyWriter::Type::kF32, {width});
    writer.write<float>(values);
    writer.commit();
  };
  write("a", 2, {3, 4, 5, 6});
  write("none", 2, {});
  write("other", 4, {1, 2, 3, 4});
  NpyWriter writer(scratch.path / "x.npy", NpyWriter::Type::kF32, {2});
  writer.write<float>(std::vector<float>{1, 2});
  writer.append(scratch.path / "a");
  writer.append(scratch.path / "none");
  CHECK_THROWS_AS(writer.append(scratch.path / "other"), Error);
  CHECK(writer.commit() == 3);
  const NpyArray array = read_npy(scratch.path / "x.npy");
  const auto values = array.values<float>();
  CHECK(std::vector<float>(values.begin(), values.end()) ==
        std::vector<float>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("rows that are not committed leave no file") {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.npy";
  {
    NpyWriter writer(path, NpyWriter::Type::kU8, {3});
    const std::uint8_t values[] = {1, 2, 3, 4};
    writer.write<std::uint8_t>(values);
    CHECK_THROWS_WITH(writer.commit(), "[npy] 4 bytes are no whole rows of 3");
    CHECK_THROWS_WITH(writer.write<float>({}), "[npy] values of another type");
  }
  CHECK(fs::is_empty(scratch.path));
}

TEST_CASE("what does not fit is refused") {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.npy";
  const float values[] = {1, 2, 3, 4, 5, 6};
  CHECK_THROWS_AS(write_npy<float>(path, {7}, values), Error);
  CHECK_THROWS_AS(write_npy<float>(path, {-6}, values), Error);
  CHECK_THROWS_AS(write_npy(path, DType::kBF16, std::vector<std::int64_t>{12},
                            std::as_bytes(std::span(values))), Error);
  CHECK(fs::is_empty(scratch.path));

  write_npy<float>(path, {2, 3}, values);
  CHECK_THROWS_AS(read_npy(path).values<double>(), Error);
  const std::string good = slurp(path);
  const auto refused = [&](const std::string& bytes, const char* message) {
    spill(path, bytes);
    CHECK_THROWS_WITH_AS(read_npy(path), doctest::Contains(message), Error);
  };
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    const std::size_t at = bad.find(from);
    REQUIRE(at != std::string::npos);
    REQUIRE(from.size() == to.size());
    return bad.replace(at, from.size(), to);
  };
  refused("", "too short");
  refused(good.substr(0, 9), "too short");
  refused(good.substr(0, 60), "ends inside its header");
  refused("\x89PNG" + good.substr(4), "not a .npy file");
  refused(edited(std::string("\x01\x00", 2), std::string("\x02\x00", 2)),
          "version 1.0");
  refused(good.substr(0, good.size() - 1), "does not fit its 23 bytes");
  refused(good + "x", "does not fit its 25 bytes");
  refused(edited("(2, 3)", "(3, 3)"), "does not fit");
  refused(edited("<f4", ">f4"), "expected a C-ordered array");
  refused(edited("<f4", "|O8"), "expected a C-ordered array");
  refused(edited("False", "True "), "expected a C-ordered array");
  refused(edited("(2, 3)", "(2,-3)"), "expected a C-ordered array");
  refused(edited("(2, 3)", "(2. 3)"), "expected a C-ordered array");
  refused(edited("(2, 3)", "2, 3)("), "expected a C-ordered array");
  refused(edited("(2, 3), }   ", "(2, 3), }  x"), "expected a C-ordered");
  refused(edited("(2, 3), }                      ",
                 "(4294967296, 4294967296, 16), }"), "does not fit");
  refused(edited("(2, 3), }                   ",
                 "(99999999999999999999, 0), }"), "expected a C-ordered");
  refused(edited("(2, 3), }                   ",
                 "(1,1,1,1,1,1,1,1,6), }      "), "expected a C-ordered");
  spill(path, good);
  CHECK(read_npy(path).values<float>()[5] == 6);
}

}
