#pragma once
// Packs a data set into WebDataset shards (data/dataset_shards.cpp reads them).
//
//   NAME-000000.tar   samples KEY.jpg, KEY.png or KEY.webp and, where the
//                     data set has labels, KEY.cls with the class number
//   NAME-000000.idx   offsets, for DALI's webdataset reader (wds2idx, v1.2)
//   classes.txt       one class name a line
//   NAME.json         images, seed and, a shard, bytes, images and XXH3-128
//
// Image files are stored as they are, byte for byte; images that are pixels
// (CIFAR) as PNG. The same data set and seed give the same bytes.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/loader.h"

namespace music::data {

struct ShardSpec {
  std::filesystem::path out;  // folder, made when absent
  std::string name = "train";
  std::uint64_t shard_bytes = std::uint64_t{256} << 20;  // a shard is closed
                                                         // once as large
  // Images are shuffled once, by seed, for readers that shuffle little.
  bool shuffle = true;
  std::uint64_t seed = 0;
  // A file that cannot be read or has another format: kSkip leaves it out.
  BadImage bad_image = BadImage::kAbort;
};

struct ShardReport {
  std::int64_t images = 0;
  std::uint64_t bytes = 0;
  int shards = 0;
  std::vector<BadSample> bad;  // left out
};

// progress(done) is called after every image. Throws Error kUsage when out
// already has shards of that name, kData for a bad image under kAbort, and as
// TarWriter does.
ShardReport write_shards(
    const Dataset& dataset, const ShardSpec& spec,
    const std::function<void(std::int64_t done)>& progress = {});

}  // namespace music::data
