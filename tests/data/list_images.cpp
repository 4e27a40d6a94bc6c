// list_images DATA [SPLIT]: what tools/peers/check_webdataset.py compares. A line
// an image: name, label, class name ("-" without), and the bytes of its file in
// hexadecimal, separated by tabs. Of a refused data set: its error, exit 3.

#include <cstdio>

#include "data/dataset.h"
#include "engine/core/error.h"
#include "engine/core/log.h"

int main(int argc, char** argv) {
  using namespace music;
  setup_logging("warn");
  try {
    if (argc < 2) throw error(ExitCode::kUsage, "expected DATA [pretrain]");
    const auto images = data::open_dataset(
        argv[1], data::DatasetFormat::kAuto,
        argc > 2 ? data::Split::kPretrain : data::Split::kTrain);
    std::vector<std::uint8_t> bytes;
    for (std::int64_t i = 0; i < images->size(); ++i) {
      const int label = images->label(i);
      images->read_file(i, bytes);
      std::printf("%s\t%d\t%s\t", images->name(i).c_str(), label,
                  label < 0 ? "-"
                            : images->classes()[static_cast<std::size_t>(label)].c_str());
      for (const std::uint8_t b : bytes) std::printf("%02x", b);
      std::printf("\n");
    }
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return static_cast<int>(e.code());
  }
  return 0;
}
