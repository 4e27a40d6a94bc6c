// COCO's files: the bytes up to a line "=" are the ground truth, what follows
// the results; without one they are both. Scored as boxes and as masks. Sides
// of images stay small, or a few bytes would ask for hours of drawing.

#include <algorithm>
#include <string_view>

#include "music/eval/coco/summary.h"
#include "tests/fuzz/target.h"

namespace {

// Digits beyond a number's third are left out; so are exponents' letters
// behind a digit.
std::vector<std::uint8_t> shorten_numbers(std::span<const std::uint8_t> text) {
  std::vector<std::uint8_t> kept;
  int digits = 0;
  for (const std::uint8_t c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (digits > 0 && (c == 'e' || c == 'E')) continue;
    digits = digit ? digits + 1 : 0;
    if (digits <= 3) kept.push_back(c);
  }
  return kept;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music::coco;
  static music::fuzz::MemoryFile truth_file, results_file;
  const auto kept = shorten_numbers({data, size});
  const std::span<const std::uint8_t> bytes(kept);
  const std::string_view text(reinterpret_cast<const char*>(kept.data()),
                              kept.size());
  const std::size_t cut = text.find("\n=\n");
  truth_file.set(bytes.first(std::min(cut, bytes.size())));
  results_file.set(cut == text.npos ? bytes : bytes.subspan(cut + 3));
  for (const auto type : {IouType::kBox, IouType::kMask})
    music::fuzz::run(music::ExitCode::kData, [&] {
      const auto truth = load_ground_truth(truth_file.path(), type);
      const auto results =
          load_results(results_file.path(), truth, {type, false});
      for (const double v : summarise(evaluate(truth, results, type)))
        if (!(v >= -1 && v <= 1)) std::abort();
    });
  return 0;
}
