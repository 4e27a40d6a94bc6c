#pragma once
// The bodies behind open_dataset. Errors as there.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace music::data {

// Of kPretrain labels may be wrong: class folders without images, lines of a list
// without a class. Then images have none, or those that are there.
std::unique_ptr<Dataset> open_folder(const std::string& path, Split split);
std::unique_ptr<Dataset> open_list(const std::string& path, Split split);
// format: kCifar10 or kCifar100
std::unique_ptr<Dataset> open_cifar(const std::string& path,
                                    DatasetFormat format, Split split);
std::unique_ptr<Dataset> open_stl10(const std::string& path, Split split);
// key: ImageKey's text. labels: whether somebody will use them.
std::unique_ptr<Dataset> open_shards(const std::string& path,
                                     const std::string& key, bool labels);

// The folder, or its sub-folder of the usual name, has that data set in it, in
// the binary or (an error on opening) the Python version.
bool looks_like_cifar(const std::string& path, DatasetFormat format);
bool looks_like_stl10(const std::string& path);
// An archive, a pattern with braces, or a folder with archives and no sub-folder
// but those of our own runs.
bool looks_like_shards(const std::string& path);

// A warning a line, each once a program.
void say(const std::string& path, const std::vector<std::string>& lines);

// A run's folder or one of features, by the files in it.
bool is_own_output(const std::filesystem::path& folder);

// Class numbers end here: each becomes a name.
inline constexpr int kMostClasses = 100'000;

// The lines of a file that names the classes; their numbers as text when there
// is no such file or it has fewer lines.
std::vector<std::string> read_class_names(const std::filesystem::path& path,
                                          int classes);

}  // namespace music::data
