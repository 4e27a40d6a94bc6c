// Lists of images. "." and "0" are files beside the list. A class number makes
// as many names, so digits beyond a number's third are left out; after '!',
// which is left out too, they stay.

#include <spdlog/spdlog.h>

#include <vector>

#include "data/dataset.h"
#include "tests/fuzz/target.h"

namespace {

std::vector<std::uint8_t> shorten_numbers(std::span<const std::uint8_t> text) {
  std::vector<std::uint8_t> kept;
  int digits = 0;
  for (const std::uint8_t c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits <= 3) kept.push_back(c);
  }
  return kept;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music::data;
  static music::fuzz::MemoryFile file;
  const std::span bytes(data, size);
  if (size > 0 && data[0] == '!')
    file.set(bytes.subspan(1));
  else
    file.set(shorten_numbers(bytes));
  spdlog::set_level(spdlog::level::off);
  for (const Split split : {Split::kTrain, Split::kPretrain})
    music::fuzz::run(music::ExitCode::kData, [split] {
      const auto list = open_dataset(file.path(), DatasetFormat::kList, split);
      for (std::int64_t i = 0; i < list->size(); ++i) {
        list->name(i);
        const int label = list->label(i);
        if (label >= 0) list->classes().at(static_cast<std::size_t>(label));
      }
    });
  return 0;
}
