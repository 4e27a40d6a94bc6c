#pragma once
// Names that users give to files to write: x.jpg of a PNG would mislead whoever
// opens it later.

#include <initializer_list>
#include <string>
#include <string_view>

namespace music::data {

// Throws Error kUsage where `path` has the extension of another format than
// `what` ("a PNG"), which `extensions` stand for, the usual one first. Names
// without an extension, or with one that is no format's, are free.
void require_extension(std::string_view flag, const std::string& path,
                       std::string_view what,
                       std::initializer_list<std::string_view> extensions);

// Whether a path to be made a folder is called as a file is: "features.npy". Not
// where it is a folder already.
bool is_called_a_file(const std::string& path);

}  // namespace music::data
