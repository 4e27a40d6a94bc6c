#pragma once
// Dataset: numbered images with optional class labels.
//
// Layouts that open_dataset knows (docs/data-formats.md has their rules):
//  folder   class sub-folders, sorted, searched recursively, links followed;
//           or images directly in the folder, then without labels; or
//           train/ and val/ (or test/) of the above, chosen by the split; see
//           data/folder_listing.h. Files are read by content.
//  list     a text file, one image path a line, relative to the list's folder;
//           a class number may follow; see data/image_list.h.
//  webdataset  tar shards: a folder of them (or train/ and val/ of such), one
//           .tar file, or a pattern as train-{000..146}.tar; see
//           docs/data-formats.md.
//  cifar10  cifar-10-batches-bin: data_batch_*.bin, test_batch.bin, or the
//           folder that contains it.
//  cifar100 cifar-100-binary: train.bin, test.bin, or the folder that contains
//           it; the 100 fine labels.
//  stl10    stl10_binary: train_X.bin, train_y.bin, test_*, unlabeled_X.bin, or
//           the folder that contains it.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/image.h"

namespace music::data {

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;  // at least 1, below 2^32
  // Class names by label; empty when the images have no labels.
  virtual const std::vector<std::string>& classes() const = 0;
  virtual int label(std::int64_t i) const = 0;  // -1: none
  // What a person finds the image by: a path, "data_batch_1.bin:17".
  virtual std::string name(std::int64_t i) const = 0;
  // Decodes image i. Thread-safe. A borrowed result lives as long as the data
  // set. Throws Error kData with the reason; name(i) says which.
  virtual void read(std::int64_t i, Image& image) const;
  // The file of image i as it is stored, into bytes (whose capacity
  // is kept); false, without touching bytes, where images are stored as pixels.
  // Thread-safe; errors as of read.
  virtual bool read_file(std::int64_t i,
                         std::vector<std::uint8_t>& bytes) const;
};

enum class DatasetFormat {
  kAuto, kFolder, kList, kCifar10, kWebDataset, kCifar100, kStl10
};
// kPretrain: what to learn from without labels. It is kTrain, with STL-10's
// unlabelled images, those beside class folders, and labels that may be wrong.
enum class Split { kTrain, kTest, kPretrain };

// Throws Error kData in one line: what was found, what was expected. kTest is
// an error where no such split exists; the others take the whole then.
std::unique_ptr<Dataset> open_dataset(const std::string& path,
                                      DatasetFormat format, Split split);

// The images of those numbers, in that order.
std::unique_ptr<Dataset> pick(std::unique_ptr<Dataset> dataset,
                              std::vector<std::uint32_t> numbers);

// Image files without labels, in this order; paths are relative to root, or
// absolute.
std::unique_ptr<Dataset> open_files(const std::vector<std::string>& paths,
                                    const std::string& root);

// Whether kTest has images of its own there: CIFAR, STL-10, a folder with val/ or
// test/. False for a path that does not exist.
bool has_test_split(const std::string& path, DatasetFormat format);

// n images drawn by seed, in their original order; all of them for n <= 0 or
// n >= size.
std::unique_ptr<Dataset> subset(std::unique_ptr<Dataset> dataset,
                                std::int64_t n, std::uint64_t seed);

// The images of these numbers, ascending. The whole set must stay.
std::unique_ptr<Dataset> view(const Dataset& whole,
                              std::vector<std::uint32_t> chosen);

}  // namespace music::data
