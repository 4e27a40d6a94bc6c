#pragma once
// safetensors: 8-byte little-endian header length, JSON header, tensor bytes
// (https://huggingface.co/docs/safetensors). The only format weights and
// checkpoints are kept in.
//
// The reader trusts nothing: it enforces the sixteen rules R1-R16 listed in
// safetensors.cpp, among them that the tensors tile the file exactly, that no
// key occurs twice and that sizes are multiplied with overflow checks. It
// copies into memory it owns, so a file changed later cannot hurt.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/dtype.h"
#include "engine/core/tensor.h"
#include "engine/io/file.h"

namespace music {

// One tensor of a file: row-major, little-endian, rank up to 8; data is
// somebody else's memory.
struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;
};

TensorEntry tensor_entry(std::string name, const Tensor& tensor);

// Writes `path` whole or not at all (FileWriter). Tensors go in order of
// element size descending, then name; metadata gets {"format":"pt"}. Equal
// content gives equal bytes. Errors: kDiskFull or kUsage; a malformed or
// repeated entry is kInternal.
FileDigest write_safetensors(
    const std::filesystem::path& path, std::span<const TensorEntry> tensors,
    const std::map<std::string, std::string>& metadata = {});

class SafetensorsFile {
 public:
  // kData when the file cannot be read or breaks a rule; the message names
  // the file, and the tensor where there is one. `digest`, when given,
  // receives size and hash of the bytes that were read.
  static SafetensorsFile open(const std::filesystem::path& path,
                              FileDigest* digest = nullptr);
  // The same from memory; `name` stands in messages.
  static SafetensorsFile parse(std::span<const std::byte> bytes,
                               const std::string& name);

  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }
  // In file order. The views live as long as this object, and are aligned
  // to their element size in files that write_safetensors made; copy bytes
  // with memcpy from others.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  std::vector<std::string> names() const;
  const TensorEntry* find(std::string_view name) const;  // nullptr: absent

 private:
  template <typename Read>  // read(offset, span<byte>)
  static SafetensorsFile load(std::uint64_t size, const Read& read,
                              const std::string& name, Xxh3* hash);

  Buffer payload_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace music
