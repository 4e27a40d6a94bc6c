#pragma once
// Files that are given as weights and are no .safetensors: what they are, by
// their first bytes, and the way to one.

#include <filesystem>
#include <string>

namespace music {

// Turns a pickle of tensors into a .safetensors; needs PyTorch.
extern const char* const kConvertCommand;

// kData for a file that is not laid out like a .safetensors, whatever its name,
// or is one part of several; a folder is answered with what it is. Pickles are
// never read.
void refuse_foreign(const std::filesystem::path& path);

// kUsage for a run, a checkpoint or a file of weights where images are expected.
void refuse_as_images(const std::string& path);

}  // namespace music
