#include "engine/io/pickle_file.h"

#include <array>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/npy.h"
#include "engine/io/pickle_writer.h"
#include "engine/io/zip.h"

namespace music {
namespace {

const char* storage_of(DType dtype) {
  switch (dtype) {
    case DType::kF64: return "DoubleStorage";
    case DType::kF32: return "FloatStorage";
    case DType::kF16: return "HalfStorage";
    case DType::kBF16: return "BFloat16Storage";
    case DType::kI64: return "LongStorage";
    case DType::kI32: return "IntStorage";
    case DType::kU8: return "ByteStorage";
    case DType::kBool: return "BoolStorage";
  }
  return "";
}

// NumPy has no bfloat16.
const char* numpy_type(const TensorEntry& t) {
  switch (t.dtype) {
    case DType::kF64: return "<f8";
    case DType::kF32: return "<f4";
    case DType::kF16: return "<f2";
    case DType::kI64: return "<i8";
    case DType::kI32: return "<i4";
    case DType::kU8: return "|u1";
    case DType::kBool: return "|b1";
    case DType::kBF16: break;
  }
  throw error(ExitCode::kUsage, "[pickle] {} is {}, which NumPy has not",
              in_quotes(t.name), name_of(t.dtype));
}

std::int64_t elements(const TensorEntry& t) {
  return std::accumulate(t.shape.begin(), t.shape.end(), std::int64_t{1},
                         std::multiplies<>());
}

std::vector<std::int64_t> strides(const TensorEntry& t) {
  std::vector<std::int64_t> out(t.shape.size(), 1);
  for (std::size_t i = out.size(); i-- > 1;)
    out[i - 1] = out[i] * t.shape[i];
  return out;
}

// The dictionary's opcodes; tensor(i) writes those of a tensor.
template <typename F>
void write_dict(PickleWriter& p, std::span<const TensorEntry> tensors,
                const DictLayout& layout, F&& tensor) {
  const bool wrapped = !layout.under.empty();
  p.empty_dict();
  p.mark();
  if (wrapped) {
    p.text(layout.under);
    p.empty_dict();
    p.mark();
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    p.text(tensors[i].name);
    tensor(i);
  }
  p.set_items();
  if (wrapped) {
    for (const auto& [key, value] : layout.others) {
      p.text(key);
      if (const bool* flag = std::get_if<bool>(&value)) p.boolean(*flag);
      else p.text(std::get<std::string>(value));
    }
    p.set_items();
  }
  p.stop();
}

}  // namespace

// torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad,
// backward_hooks), where the storage is a persistent id of the zip entry.
FileDigest write_pth(const std::filesystem::path& path,
                     std::span<const TensorEntry> tensors,
                     const DictLayout& layout) {
  PickleWriter p(2);
  write_dict(p, tensors, layout, [&](std::size_t i) {
    const TensorEntry& t = tensors[i];
    p.global("torch._utils", "_rebuild_tensor_v2");
    p.mark();
    p.mark();
    p.text("storage");
    p.global("torch", storage_of(t.dtype));
    p.text(std::to_string(i));
    p.text("cpu");
    p.integer(elements(t));
    p.tuple();
    p.persistent_id();
    p.integer(0);
    p.integers(t.shape);
    p.integers(strides(t));
    p.boolean(false);
    p.global("collections", "OrderedDict");
    p.mark();
    p.tuple();
    p.reduce();
    p.tuple();
    p.reduce();
  });
  ZipWriter zip(path);
  zip.add("archive/data.pkl", p.take());
  zip.add("archive/byteorder", std::string_view("little"));
  for (std::size_t i = 0; i < tensors.size(); ++i)
    zip.add(fmt::format("archive/data/{}", i), tensors[i].data);
  zip.add("archive/version", std::string_view("3\n"));
  return zip.commit();
}

// numpy.ndarray(shape, dtype, bytearray(data)).
FileDigest write_pkl(const std::filesystem::path& path,
                     std::span<const TensorEntry> tensors,
                     const DictLayout& layout) {
  FileWriter file(path);
  PickleWriter p(3);
  write_dict(p, tensors, layout, [&](std::size_t i) {
    const TensorEntry& t = tensors[i];
    p.global("numpy", "ndarray");
    p.mark();
    p.integers(t.shape);
    p.text(numpy_type(t));
    p.global("builtins", "bytearray");
    p.mark();
    p.bytes_ahead(t.data.size());
    file.write(p.take());
    file.write(t.data);
    p.tuple();
    p.reduce();
    p.tuple();
    p.reduce();
  });
  file.write(p.take());
  return file.commit();
}

FileDigest write_npz(const std::filesystem::path& path,
                     std::span<const TensorEntry> tensors) {
  ZipWriter zip(path);
  for (const TensorEntry& t : tensors) {
    const std::string header = npy_header(t.dtype, t.shape);
    const std::array parts{std::as_bytes(std::span(header)), t.data};
    zip.add(t.name + ".npy", parts);
  }
  return zip.commit();
}

}  // namespace music
