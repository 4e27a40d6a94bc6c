// Run lengths as text for a mask of the size that the first two bytes say: what
// is taken comes back the same, and its pixels have its area and box.

#include <algorithm>
#include <string_view>

#include "music/detect/rle.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music::detect;
  if (size < 2) return 0;
  const std::uint32_t height = data[0] % 64 + 1u, width = data[1] % 64 + 1u;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  return music::fuzz::run(music::ExitCode::kData, [&] {
    const Rle mask = rle_from_text(text, height, width);
    if (rle_from_text(rle_to_text(mask), height, width) != mask) std::abort();
    const auto pixels = rle_to_pixels(mask);
    const Rle tidy = rle_from_pixels(pixels, height, width);
    const auto area = static_cast<std::uint64_t>(
        std::count(pixels.begin(), pixels.end(), 1));
    if (rle_area(mask) != area || rle_area(tidy) != area ||
        rle_box(mask) != rle_box(tidy) ||
        rle_iou(mask, tidy, false) != (area > 0 ? 1 : 0))
      std::abort();
  });
}
