// CIFAR-10, CIFAR-100 and STL-10. The first byte chooses; then come the length
// of the second file (class names or labels), the second file and the first.

#include <algorithm>

#include "data/dataset.h"
#include "tests/fuzz/target.h"

namespace {

using music::fuzz::MemoryFile;

struct Files {
  MemoryFile records, second;
  music::fuzz::Folder folder;
  Files() {
    folder.link("0/data_batch_1.bin", records);
    folder.link("0/batches.meta.txt", second);
    folder.link("1/train.bin", records);
    folder.link("1/fine_label_names.txt", second);
    folder.link("2/train_X.bin", records);
    folder.link("2/train_y.bin", second);
    folder.link("2/class_names.txt", second);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music::data;
  static Files files;
  static Image image;
  if (size < 2) return 0;
  const std::size_t length = std::min<std::size_t>(data[1], size - 2);
  files.second.set({data + 2, length});
  files.records.set({data + 2 + length, size - 2 - length});
  const int which = data[0] % 3;
  return music::fuzz::run(music::ExitCode::kData, [&] {
    const auto set = open_dataset(
        files.folder.path(std::to_string(which)),
        which == 0   ? DatasetFormat::kCifar10
        : which == 1 ? DatasetFormat::kCifar100
                     : DatasetFormat::kStl10,
        Split::kTrain);
    for (std::int64_t i = 0; i < set->size(); ++i) {
      set->name(i);
      // A label has a name.
      set->classes().at(static_cast<std::size_t>(set->label(i)));
      set->read(i, image);
    }
  });
}
