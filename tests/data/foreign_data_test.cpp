#include "data/foreign_data.h"

#include <doctest/doctest.h>

#include "data/picture_format.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("foreign_data") {
  using namespace music::data;
  using namespace std::string_literals;

  ForeignData of(const std::string& bytes, const std::string& name = "file") {
    return foreign_data(name, std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                        bytes.size()));
  }
  std::string what(const std::string& bytes) { return of(bytes).what; }
  std::string zip(const std::string& name) {
    return "PK\3\4"s + std::string(22, '\0') + static_cast<char>(name.size()) + "\0\0\0"s + name;
  }

  TEST_CASE("files of many samples by their first bytes") {
    CHECK(what("PAR1\x15") == "a Parquet table");
    CHECK(what("ARROW1\0\0"s) == "an Arrow table");
    CHECK(what("\xFF\xFF\xFF\xFF\x10\1"s) == "an Arrow stream");
    CHECK(what(zip("x.npy")) == "a NumPy archive");
    CHECK(what(zip("archive/data.pkl")) == "a PyTorch file");
    CHECK(what(zip("a/1.jpg")) == "a ZIP archive");
    CHECK(what("\x93NUMPY\1\0"s) == "a NumPy array");
    CHECK(what("\x80\4\x95x") == "a Python pickle");
    CHECK(what("\x0a\0\0\0\0\0\0\0abcd\x0a\x08"s) == "a TFRecord file");
    CHECK(what("\x40\0\0\0\0\0\0\0{\"a\":{}}"s) == "a safetensors file");
    CHECK(what("MATLAB 5.0 MAT-file") == "a MATLAB file");
    CHECK(what("SQLite format 3\0"s) == "an SQLite database");
    CHECK(what(std::string(16, '\0') + "\xDE\xC0\xEF\xBE") == "an LMDB database");
    CHECK(what("\xFF\xFE" "a\0"s) == "text in UTF-16");
    CHECK(what("a\0.\0j\0p\0g\0\n\0"s) == "text in UTF-16");
  }

  TEST_CASE("archives say how they are unpacked") {
    const auto remedy = [](const std::string& bytes, const std::string& name) {
      return of(bytes, name).remedy.substr(0, of(bytes, name).remedy.find(" and"));
    };
    CHECK(remedy("\x1f\x8b", "a.tar.gz") == "unpack it with `tar xzf`");
    CHECK(remedy("\x1f\x8b", "a.tgz") == "unpack it with `tar xzf`");
    CHECK(remedy("\x1f\x8b", "list.txt.gz") == "unpack it with `gunzip`");
    CHECK(remedy("BZh9", "a.tar.bz2") == "unpack it with `tar xjf`");
    CHECK(remedy("\x28\xB5\x2F\xFD", "a.tar.zst") == "unpack it with `tar --zstd -xf`");
    CHECK(remedy("7z\xBC\xAF\x27\x1C", "a.7z") == "unpack it with `7z x`");
  }

  TEST_CASE("what is a list or nothing known has no description") {
    CHECK(!of(""));
    CHECK(!of("a/1.jpg 3\na/2.jpg 4\n"));
    CHECK(!of("# a list\n"));
    CHECK(!of("0 a/1.jpg\n1 a/2.jpg\n"));
    CHECK(!of("\xEF\xBB\xBF" "a.jpg\n"));
    CHECK(!of("caf\xC3\xA9/1.jpg\n"));
    CHECK(!foreign_file("/nowhere"));
    CHECK(!foreign_file("/"));
    CHECK(but_is("/nowhere").empty());
  }

  TEST_CASE("no first bytes are too few") {
    for (const std::string& text :
         {zip("x.npy"), "\x0a\0\0\0\0\0\0\0abcd\x0a\x08"s, "a\0.\0j\0p\0g\0"s})
      for (std::size_t n = 0; n <= text.size(); ++n) of(text.substr(0, n));
  }

  TEST_CASE("archives of CIFAR and STL-10 by name") {
    const TemporaryFolder f;
    for (const char* name : {"cifar-10-python.tar.gz", "cifar-100-python.tar.gz",
                             "cifar-10-binary.tar.gz", "stl10_binary.tar.gz",
                             "cifar-10-python (1).tar.gz"}) {
      f.write(name, "\x1f\x8b");
      CHECK(!downloaded_records(f.path(name)).empty());
    }
    f.write("list.txt", "a.jpg");
    CHECK(downloaded_records(f.path("list.txt")).empty());
    CHECK(downloaded_records(f.path("none")).empty());
  }
}
