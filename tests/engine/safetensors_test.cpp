// The reader against a hand-written hostile corpus, one case or more a rule
// (R1-R16 of engine/io/safetensors.cpp); the writer against its promises.
#include "engine/io/safetensors.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "tests/support/scratch.h"

namespace fs = std::filesystem;
using namespace music;
using music::test::Scratch;
using music::test::slurp;

namespace {

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

std::string file_of(const std::string& header, std::size_t payload = 0) {
  return with_length(header.size(), header + std::string(payload, '\x2a'));
}

SafetensorsFile parse(const std::string& bytes) {
  return SafetensorsFile::parse(
      std::as_bytes(std::span(bytes.data(), bytes.size())), "corpus");
}

// The message of the refusal; "" when the file was accepted.
std::string refusal(const std::string& bytes) {
  try {
    parse(bytes);
    return "";
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    CHECK(std::string(e.what()).starts_with("[safetensors] corpus: "));
    CHECK(std::string(e.what()).find('\n') == std::string::npos);
    return e.what();
  }
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string entry(const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape +
         R"(,"data_offsets":)" + offsets + "}";
}

template <typename T>
TensorEntry entry_of(std::string name, DType dtype,
                     std::vector<std::int64_t> shape,
                     const std::vector<T>& values) {
  return {std::move(name), dtype, std::move(shape),
          std::as_bytes(std::span(values))};
}

}  // namespace

TEST_SUITE("safetensors") {

TEST_CASE("every rule refuses") {
  const std::string f4 = entry("F32", "[1]", "[0,4]");
  struct Case {
    const char* rule;
    std::string bytes;
    const char* expected;
  };
  const std::string long_name(1025, 'n');
  const Case cases[] = {
      {"R1 empty", "", "has 0 bytes"},
      {"R1 short", "1234567", "has 7 bytes"},
      {"R2", with_length((16 << 20) + 1, "{}"), "limit 16777216"},
      {"R2 the format's", with_length(100'000'000, "{}"), "limit 16777216"},
      {"R2 huge", with_length(~0ull, "{}"), "limit 16777216"},
      {"R3", with_length(3, "{}"), "the file ends after 2"},
      {"R3 none", with_length(2, ""), "the file ends after 0"},
      {"R4 empty header", file_of(""), "begin with"},
      {"R4 array", file_of("[]"), "begin with"},
      {"R4 blank first", file_of(" {}"), "begin with"},
      {"R4 byte order mark", file_of("\xef\xbb\xbf{}"), "begin with"},
      {"R5 torn", file_of("{"), "padded with spaces"},
      {"R5 NUL padding", file_of(std::string("{}\0\0\0\0\0\0", 8)), "padded"},
      {"R5 NUL then brace", file_of(std::string("{}\0}", 4)), "padded"},
      {"R5 newline padding", file_of("{}\n"), "padded"},
      {"R5 tab padding", file_of("{}\t "), "padded"},
      {"R5 two objects", file_of("{}{}"), "not strict JSON"},
      {"R5 comment", file_of("{/**/}"), "not strict JSON"},
      {"R5 trailing comma", file_of("{\"a\":" + f4 + ",}", 4), "strict JSON"},
      {"R5 single quotes", file_of("{'a':" + f4 + "}", 4), "strict JSON"},
      {"R5 UTF-8", file_of("{\"\xff\":" + f4 + "}", 4), "strict JSON"},
      {"R5 overlong UTF-8", file_of("{\"\xc0\x80\":" + f4 + "}", 4), "strict"},
      {"R5 surrogate", file_of("{\"\\ud800\":" + f4 + "}", 4), "strict JSON"},
      {"R5 NaN", file_of(R"({"a":NaN})"), "strict JSON"},
      {"R6 tensor twice", file_of("{\"a\":" + f4 + ",\"a\":" + f4 + "}", 4),
       "'a' occurs twice"},
      {"R6 escaped twice",
       file_of("{\"a\":" + f4 + ",\"\\u0061\":" + f4 + "}", 4), "twice"},
      {"R6 field twice",
       file_of(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],)"
               R"("data_offsets":[0,4]}})", 4),
       "'shape' occurs twice"},
      {"R6 metadata twice",
       file_of(R"({"__metadata__":{},"__metadata__":{}})"), "twice"},
      {"R6 metadata key twice",
       file_of(R"({"__metadata__":{"k":"1","k":"1"}})"), "'k' occurs twice"},
      {"R7 number", file_of(R"({"__metadata__":{"k":1}})"), "strings"},
      {"R7 null value", file_of(R"({"__metadata__":{"k":null}})"), "strings"},
      {"R7 nested", file_of(R"({"__metadata__":{"k":{}}})"), "strings"},
      {"R7 list", file_of(R"({"__metadata__":{"k":["v"]}})"), "strings"},
      {"R7 not an object", file_of(R"({"__metadata__":"x"})"), "a string"},
      {"R7 null", file_of(R"({"__metadata__":null})"), "null"},
      {"R8 no dtype", file_of(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4),
       "lacks one"},
      {"R8 no shape",
       file_of(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), "lacks"},
      {"R8 no offsets", file_of(R"({"a":{"dtype":"F32","shape":[1]}})", 4),
       "lacks one"},
      {"R8 empty", file_of(R"({"a":{}})"), "lacks one"},
      {"R8 extra",
       file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],)"
               R"("strides":[1]}})", 4),
       "unknown field 'strides'"},
      {"R8 not an object", file_of(R"({"a":4})", 4), "a number"},
      {"R8 null", file_of(R"({"a":null})"), "null"},
      {"R8 boolean", file_of(R"({"a":true})"), "boolean"},
      {"R8 array", file_of(R"({"a":[]})"), "an array"},
      {"R8 dtype array",
       file_of(R"({"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}})",
               4),
       "an array in 'dtype'"},
      {"R8 shape scalar", file_of("{\"a\":" + entry("F32", "1", "[0,4]") + "}",
                                  4), "a number in 'shape'"},
      {"R8 one offset", file_of("{\"a\":" + entry("F32", "[1]", "[4]") + "}",
                                4), "1 data_offsets"},
      {"R8 three offsets",
       file_of("{\"a\":" + entry("F32", "[1]", "[0,4,8]") + "}", 4),
       "a number in 'data_offsets'"},
      {"R8 negative offset",
       file_of("{\"a\":" + entry("F32", "[1]", "[-4,0]") + "}", 4), "sign"},
      {"R8 float offset",
       file_of("{\"a\":" + entry("F32", "[1]", "[0,4.0]") + "}", 4), "4.0"},
      {"R9", file_of("{\"a\":" + entry("F8_E4M3", "[1]", "[0,1]") + "}", 1),
       "tensor 'a' has dtype 'F8_E4M3'"},
      {"R9 case", file_of("{\"a\":" + entry("f32", "[1]", "[0,4]") + "}", 4),
       "'f32'"},
      {"R10 negative", file_of("{\"a\":" + entry("F32", "[-1]", "[0,4]") + "}",
                               4), "sign"},
      {"R10 minus zero", file_of("{\"a\":" + entry("F32", "[-0]", "[0,0]") +
                                 "}"), "sign"},
      {"R10 float", file_of("{\"a\":" + entry("F32", "[1.0]", "[0,4]") + "}",
                            4), "1.0"},
      {"R10 exponent", file_of("{\"a\":" + entry("F32", "[1e0]", "[0,4]") +
                               "}", 4), "1e0"},
      {"R10 string", file_of("{\"a\":" + entry("F32", "[\"1\"]", "[0,4]") +
                             "}", 4), "a string"},
      {"R10 boolean", file_of("{\"a\":" + entry("F32", "[true]", "[0,4]") +
                              "}", 4), "a boolean"},
      {"R10 nested", file_of("{\"a\":" + entry("F32", "[[1]]", "[0,4]") + "}",
                             4), "an array"},
      {"R10 2^48", file_of("{\"a\":" + entry("F32", "[281474976710656,0]",
                                             "[0,0]") + "}"), "2^48"},
      {"R10 beyond 64 bits",
       file_of("{\"a\":" + entry("F32", "[99999999999999999999,0]", "[0,0]") +
               "}"), "99999999999999999999"},
      {"R11 2^32 x 2^32", file_of("{\"a\":" + entry("F32",
                                  "[4294967296,4294967296]", "[0,0]") + "}"),
       "overflows"},
      {"R11 by element size",
       file_of("{\"a\":" + entry("F64", "[2147483648,1073741824]", "[0,0]") +
               "}"), "overflows"},
      {"R12", file_of("{\"a\":" + entry("F32", "[1]", "[4,0]") + "}", 4),
       "spans [4, 0)"},
      {"R12 wraps to the size",
       file_of("{\"a\":" + entry("F32", "[1]", "[18446744073709551615,3]") +
               "}", 4), "spans"},
      {"R13 less", file_of("{\"a\":" + entry("F32", "[2]", "[0,4]") + "}", 4),
       "needs 8 bytes"},
      {"R13 more", file_of("{\"a\":" + entry("F32", "[1]", "[0,8]") + "}", 8),
       "needs 4 bytes"},
      {"R14 starts late",
       file_of("{\"a\":" + entry("F32", "[1]", "[4,8]") + "}", 8),
       "begins at 4"},
      {"R14 gap", file_of("{\"a\":" + f4 + ",\"b\":" +
                          entry("F32", "[1]", "[8,12]") + "}", 12),
       "begins at 8, the one before ends at 4"},
      {"R14 overlap", file_of("{\"a\":" + f4 + ",\"b\":" +
                              entry("F32", "[1]", "[2,6]") + "}", 6),
       "begins at 2"},
      {"R14 alias", file_of("{\"a\":" + f4 + ",\"b\":" + f4 + "}", 4),
       "begins at 0"},
      {"R14 empty inside another",
       file_of("{\"a\":" + f4 + ",\"b\":" + entry("F32", "[0]", "[2,2]") +
               "}", 4), "begins at 2"},
      {"R15 trailing", file_of("{\"a\":" + f4 + "}", 5), "file has 5 bytes"},
      {"R15 trailing, no tensor", file_of("{}", 1), "file has 1 bytes"},
      {"R15 truncated", file_of("{\"a\":" + f4 + "}", 3), "file has 3 bytes"},
      {"R15 missing", file_of("{\"a\":" + f4 + "}", 0), "file has 0 bytes"},
      {"R16 rank 9", file_of("{\"a\":" + entry("F32", "[1,1,1,1,1,1,1,1,1]",
                                               "[0,4]") + "}", 4),
       "more than 8 dimensions"},
      {"R16 name length", file_of("{\"" + long_name + "\":" + f4 + "}", 4),
       "longer than 1024"},
      {"R16 escaped newline", file_of("{\"a\\nb\":" + f4 + "}", 4),
       "control characters"},
      {"R16 escaped NUL", file_of("{\"a\\u0000b\":" + f4 + "}", 4), "control"},
      {"R16 delete", file_of("{\"a\x7f\":" + f4 + "}", 4), "control"},
      {"nesting", file_of("{\"a\":" + std::string(100'000, '[') +
                          std::string(100'000, ']') + "}"), "an array"},
  };
  for (const Case& c : cases) {
    const std::string message = refusal(c.bytes);
    INFO(c.rule, ": ", message);
    CHECK(contains(message, c.expected));
    CHECK(message.size() < 300);
  }
}

TEST_CASE("R16: at most 100,000 tensors") {
  for (const int count : {100'000, 100'001}) {
    std::string header = "{";
    for (int i = 0; i < count; ++i)
      header += (i ? ",\"" : "\"") + std::to_string(i) +
                "\":" + entry("U8", "[0]", "[0,0]");
    const std::string message = refusal(file_of(header + "}"));
    if (count == 100'000) CHECK(message == "");
    else CHECK(contains(message, "more than 100000 tensors"));
  }
}

TEST_CASE("what the format allows is accepted") {
  CHECK(parse(file_of("{}")).tensors().empty());
  CHECK(parse(file_of("{}      ")).tensors().empty());
  CHECK(parse(file_of("{ \n\t}")).tensors().empty());
  CHECK(parse(file_of(R"({"__metadata__":{}})")).metadata().empty());
  const auto meta = parse(file_of(R"({"__metadata__":{"a":"b\n","":""}})"));
  CHECK(meta.metadata().at("a") == "b\n");

  const auto scalar = parse(file_of("{\"s\":" + entry("F32", "[]", "[0,4]") +
                                    "}", 4));
  CHECK(scalar.find("s")->shape.empty());
  CHECK(scalar.find("s")->data.size() == 4);
  CHECK(scalar.find("t") == nullptr);

  const auto eight = parse(file_of(
      "{\"e\":" + entry("BOOL", "[1,1,1,1,1,1,1,3]", "[0,3]") + "}", 3));
  CHECK(eight.find("e")->shape.size() == 8);

  const auto zero = parse(file_of(
      "{\"z\":" + entry("I64", "[281474976710655,0]", "[4,4]") + ",\"a\":" +
      entry("F32", "[1]", "[0,4]") + "}", 4));
  CHECK(zero.names() == std::vector<std::string>{"a", "z"});
  CHECK(zero.find("z")->data.empty());

  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16,
                            DType::kBF16, DType::kI64, DType::kI32, DType::kU8,
                            DType::kBool}) {
    const std::size_t n = size_of(dtype);
    const auto file = parse(file_of(
        "{\"d\":" + entry(std::string(name_of(dtype)), "[1]",
                          "[0," + std::to_string(n) + "]") + "}", n));
    CHECK(file.tensors().at(0).dtype == dtype);
  }
}

TEST_CASE("what is written reads back, and bytes follow content alone") {
  const Scratch scratch;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> f = {1.5f, nan, inf, -inf, -0.0f, 1e-42f};
  const std::vector<double> d = {3.25};
  const std::vector<std::int64_t> i = {-7};
  const std::vector<std::uint8_t> u = {1, 2, 3}, none;
  std::vector<TensorEntry> tensors = {
      entry_of("layer1.0.conv1.weight", DType::kF32, {2, 3}, f),
      entry_of("u", DType::kU8, {3}, u),
      entry_of("a.num_batches_tracked", DType::kI64, {}, i),
      entry_of("z", DType::kF64, {1}, d),
      entry_of("empty", DType::kU8, {0, 5}, none),
      entry_of("\u00e9\"\\", DType::kF32, {1, 6}, f)};
  const fs::path one = scratch.path / "one.safetensors";
  const fs::path two = scratch.path / "two.safetensors";
  const FileDigest written = write_safetensors(
      one, tensors, {{"step", "12"}, {"format", "ignored"}, {"s", "\xff"}});
  std::swap(tensors[0], tensors[5]);
  std::swap(tensors[1], tensors[3]);
  const FileDigest again = write_safetensors(
      two, tensors, {{"s", "\xff"}, {"step", "12"}});
  CHECK(slurp(one) == slurp(two));
  CHECK(written == again);
  CHECK(written.bytes == fs::file_size(one));

  FileDigest digest;
  const auto file = SafetensorsFile::open(one, &digest);
  CHECK(digest == written);
  CHECK(file.names() == std::vector<std::string>{
                            "a.num_batches_tracked", "z",
                            "layer1.0.conv1.weight", "\u00e9\"\\", "empty",
                            "u"});
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.metadata().at("step") == "12");
  for (const TensorEntry& t : tensors) {
    const TensorEntry* r = file.find(t.name);
    REQUIRE(r);
    CHECK(r->dtype == t.dtype);
    CHECK(r->shape == t.shape);
    CHECK(std::equal(r->data.begin(), r->data.end(), t.data.begin(),
                     t.data.end()));
    if (!r->data.empty())
      CHECK(reinterpret_cast<std::uintptr_t>(r->data.data()) %
                size_of(r->dtype) == 0);
  }
  std::uint64_t header = 0;
  std::memcpy(&header, slurp(one).data(), 8);
  CHECK(header % 8 == 0);
  // Nothing but the two files is left.
  CHECK(std::distance(fs::directory_iterator(scratch.path), {}) == 2);

  write_safetensors(one, {}, {});
  CHECK(slurp(one).substr(8) == R"({"__metadata__":{"format":"pt"}})");
  CHECK(SafetensorsFile::open(one).tensors().empty());
}

TEST_CASE("the writer refuses what the reader would") {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.safetensors";
  const std::vector<float> f = {1.0f, 2.0f};
  const auto refused = [&](std::vector<TensorEntry> tensors) {
    CHECK_THROWS_AS(write_safetensors(path, tensors), Error);
    CHECK(fs::is_empty(scratch.path));
  };
  refused({entry_of("a", DType::kF32, {3}, f)});
  refused({entry_of("a", DType::kF64, {2}, f)});
  refused({entry_of("a", DType::kF32, {-2}, f)});
  refused({entry_of("a", DType::kF32, {1, 1, 1, 1, 1, 1, 1, 1, 2}, f)});
  refused({entry_of("a\n", DType::kF32, {2}, f)});
  refused({entry_of("\xff", DType::kF32, {2}, f)});
  refused({entry_of("__metadata__", DType::kF32, {2}, f)});
  refused({entry_of(std::string(1025, 'a'), DType::kF32, {2}, f)});
  refused({entry_of("a", DType::kF32, {2}, f),
           entry_of("a", DType::kF32, {2}, f)});
}

TEST_CASE("random damage never crashes the reader") {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.safetensors";
  const std::vector<float> f(6, 1.0f);
  write_safetensors(path, std::vector{entry_of("a", DType::kF32, {2, 3}, f),
                                      entry_of("b", DType::kF32, {6}, f)});
  const std::string good = slurp(path);
  std::mt19937 random(1);
  const std::string alphabet = "{}[]\",:0123456789-.eE \\u\xff";
  int accepted = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string bad = good;
    for (unsigned edits = 1 + random() % 3; edits--;) {
      const std::size_t at = random() % bad.size();
      switch (random() % 4) {
        case 0: bad[at] = static_cast<char>(random()); break;
        case 1: bad[at] = alphabet[random() % alphabet.size()]; break;
        case 2: bad.erase(at, 1 + random() % 4); break;
        case 3: bad.insert(at, 1, alphabet[random() % alphabet.size()]); break;
      }
      if (bad.size() < 9) bad = good;
    }
    // Half the time repair the header length, so that the damage gets deep.
    if (random() % 2) {
      const std::uint64_t length = bad.size() - 8 - 48;
      std::memcpy(bad.data(), &length, 8);
    }
    accepted += refusal(bad).empty();
  }
  CHECK(accepted > 100);     // payload and spelling of names are free
  CHECK(accepted < 12'000);
}

TEST_CASE("files that are not files") {
  const Scratch scratch;
  CHECK_THROWS_WITH_AS(
      SafetensorsFile::open(scratch.path / "none"),
      doctest::Contains("No such file or directory"), Error);
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(scratch.path),
                       doctest::Contains("not a regular file"), Error);
  REQUIRE(mkfifo((scratch.path / "fifo").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(scratch.path / "fifo"),
                       doctest::Contains("not a regular file"), Error);
}

TEST_CASE("a disk that fills up leaves the old file and exit code 20") {
  const Scratch scratch;
  const fs::path path = scratch.path / "x.safetensors";
  const std::vector<float> f(50'000, 1.0f);
  const std::vector tensors = {entry_of("a", DType::kF32, {50'000}, f)};
  write_safetensors(path, std::vector{entry_of("old", DType::kF32, {1},
                                               std::vector<float>{2.0f})});
  const std::string old = slurp(path);
  for (const rlim_t limit : {rlim_t{0}, rlim_t{7}, rlim_t{60}, rlim_t{4096},
                             rlim_t{100'000}, rlim_t{200'000}}) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // EFBIG stands for ENOSPC: both are a short write
      signal(SIGXFSZ, SIG_IGN);
      const rlimit most = {limit, limit};
      setrlimit(RLIMIT_FSIZE, &most);
      try {
        write_safetensors(path, tensors);
      } catch (const Error& e) {
        _exit(static_cast<int>(e.code()));
      }
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == static_cast<int>(ExitCode::kDiskFull));
    CHECK(slurp(path) == old);
    CHECK(std::distance(fs::directory_iterator(scratch.path), {}) == 1);
  }
  CHECK_THROWS_AS(write_safetensors(scratch.path / "no" / "dir", tensors),
                  Error);
}

}
