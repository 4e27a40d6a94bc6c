#pragma once
// NumPy's .npy, version 1.0, little-endian, C order
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html):
// features for other programs, goldens from them. F32, F64, F16, I64, I32 and U8; what is
// written piece by piece also u16.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/dtype.h"
#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music {

// Writes the file whole or not at all (FileWriter): kDiskFull, kUsage. Bytes
// that do not fit the shape, or another dtype, are kInternal.
void write_npy(const std::filesystem::path& path, DType dtype,
               std::span<const std::int64_t> shape,
               std::span<const std::byte> data);

template <typename T>
void write_npy(const std::filesystem::path& path,
               const std::vector<std::int64_t>& shape,
               std::span<const T> values) {
  write_npy(path, DTypeOf<T>::value, shape, std::as_bytes(values));
}

// What stands before the data in such a file. kInternal for another dtype or
// more than 8 dimensions.
std::string npy_header(DType dtype, std::span<const std::int64_t> shape);

// An array that need not fit into memory: rows come in any pieces, and how many
// there are is known at the end. The file appears, whole, with commit(); until
// then and without it there is none.
class NpyWriter {
 public:
  enum class Type { kF32, kF64, kI64, kU8, kU16 };

  // row: the shape of one; {} for single numbers.
  NpyWriter(const std::filesystem::path& path, Type type,
            std::vector<std::int64_t> row);

  template <typename T>
  void write(std::span<const T> values) {
    MUSIC_CHECK(type_of<T>() == type_, "[npy] values of another type");
    write_bytes(std::as_bytes(values));
  }
  // Adds the rows of a file that another writer of such rows committed.
  void append(const std::filesystem::path& path);
  // Returns the number of rows. kInternal when the last one is not whole.
  std::int64_t commit();

  template <typename T>
  static constexpr Type type_of() {
    if constexpr (std::is_same_v<T, float>) return Type::kF32;
    else if constexpr (std::is_same_v<T, double>) return Type::kF64;
    else if constexpr (std::is_same_v<T, std::int64_t>) return Type::kI64;
    else if constexpr (std::is_same_v<T, std::uint8_t>) return Type::kU8;
    else {
      static_assert(std::is_same_v<T, std::uint16_t>);
      return Type::kU16;
    }
  }

 private:
  std::string header(std::int64_t rows) const;
  void write_bytes(std::span<const std::byte> bytes);

  FileWriter file_;
  Type type_;
  std::vector<std::int64_t> row_;
  std::uint64_t row_bytes_ = 0, bytes_ = 0;
};

// Where in a file the array is: all of it, or an entry of a zip file.
struct FilePart {
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> bytes = {};  // up to the end
};

struct NpyArray {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  Buffer data;

  // Throws when T is not the dtype.
  template <typename T>
  std::span<const T> values() const {
    MUSIC_CHECK(dtype == DTypeOf<T>::value, "[npy] holds {}, asked for {}",
                name_of(dtype), name_of(DTypeOf<T>::value));
    return {data.as<T>(), data.bytes() / sizeof(T)};
  }
};

// kData when the file cannot be read, is not of this form (as numpy.save
// writes it), or is shorter or longer than its shape says.
NpyArray read_npy(const std::filesystem::path& path, FilePart part = {});

// The same, of which parts are read.
class NpyReader {
 public:
  explicit NpyReader(const std::filesystem::path& path, FilePart part = {});

  const std::filesystem::path& path() const { return file_.path(); }
  DType dtype() const { return dtype_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  // Elements from `first` on into out, as they are stored: whole ones.
  void read(std::int64_t first, std::span<std::byte> out) const;

 private:
  FileReader file_;
  DType dtype_ = DType::kF32;
  std::vector<std::int64_t> shape_;
  std::uint64_t begin_ = 0;  // of the data
};

}  // namespace music
