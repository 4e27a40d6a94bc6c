#pragma once
// Tensors as the dictionaries that torch.load and pickle.load give: written
// here, without Python; never read.

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/io/safetensors.h"

namespace music {

// What the file's dictionary is: the tensors by name; or, with `under`,
// {under: {tensors by name}, and the others}.
struct DictLayout {
  std::string under;
  std::vector<std::pair<std::string, std::variant<bool, std::string>>> others;
};

// torch.save's zip file: torch.load(f, weights_only=True) takes it. Tensors of
// all our types, contiguous, on the CPU. Errors as of ZipWriter.
FileDigest write_pth(const std::filesystem::path& path,
                     std::span<const TensorEntry> tensors,
                     const DictLayout& layout = {});

// A pickle, protocol 3, of NumPy arrays that own their memory; F64, F32, F16,
// I64, I32, U8, BOOL. For programs that take nothing else (detectron2's .pkl).
FileDigest write_pkl(const std::filesystem::path& path,
                     std::span<const TensorEntry> tensors,
                     const DictLayout& layout = {});

// numpy.savez: one .npy a tensor, of write_npy's types.
FileDigest write_npz(const std::filesystem::path& path,
                     std::span<const TensorEntry> tensors);

}  // namespace music
