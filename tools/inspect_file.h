#pragma once
// What a file or directory of ours, or of a kind we write, holds.

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/io/npy.h"
#include "engine/io/safetensors.h"

namespace music {

struct Inspected {
  struct Row {
    std::string name, dtype, shape;  // "64,3,7,7"
    std::uint64_t bytes = 0;
    std::optional<TensorEntry> values;  // where they were read
  };

  std::string kind;  // "safetensors", "checkpoint", "run directory", ...
  std::vector<std::pair<std::string, std::string>> facts;  // in order
  std::vector<Row> rows;

  // What the rows' values point into.
  std::deque<SafetensorsFile> files;
  std::deque<NpyArray> arrays;
};

// By content, not by name. A checkpoint is verified, every byte of it. Pickles
// are not read: of a .pth the zip entries are listed. kData for what is damaged
// or unknown.
Inspected inspect(const std::filesystem::path& path);

// Of a tensor's numbers; min, max and mean over those that are finite.
struct Statistics {
  double min = 0, max = 0, mean = 0;
  std::int64_t nan = 0, infinite = 0, zero = 0, count = 0;
};
Statistics statistics(const TensorEntry& tensor);

// A line a difference of two files' tensors, and whether there is any.
struct Difference {
  std::vector<std::string> lines;
  std::int64_t equal = 0, different = 0;
};
Difference difference(const Inspected& a, const Inspected& b);

}  // namespace music
