#pragma once
// The bodies behind open_dataset. Errors as there.

#include <memory>
#include <string>

#include "data/dataset.h"

namespace music::data {

std::unique_ptr<Dataset> open_folder(const std::string& path);
std::unique_ptr<Dataset> open_list(const std::string& path);
std::unique_ptr<Dataset> open_cifar10(const std::string& path, Split split);
std::unique_ptr<Dataset> open_shards(const std::string& path);

// The folder, or its sub-folder cifar-10-batches-bin, has CIFAR-10 in it, in
// the binary or (an error on opening) the Python version.
bool looks_like_cifar10(const std::string& path);
// A .tar file, a pattern with braces, or a folder with .tar files and no
// sub-folder.
bool looks_like_shards(const std::string& path);

}  // namespace music::data
