#include "engine/ops/image_normalize.h"

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_image_normalize(const KernelRequest& r,
                                             ImageNormalizeSpec spec) {
  require_f32({r.device, {}, r.out}, "image_normalize");
  MUSIC_CHECK(spec.channels == 3, "[image_normalize] the CPU gives 3 channels");
  const std::int64_t pixels = r.out[0].shape.elements() / 3;
  std::array<float, 3> scale{}, shift{};
  for (std::size_t c = 0; c < 3; ++c) {
    scale[c] = spec.scale(c);
    shift[c] = spec.shift(c);
  }
  return function_kernel([=](const KernelArgs& args) {
    const std::uint8_t* x = args.in[0].as<std::uint8_t>();
    float* y = args.out[0].f32();
    parallel_ranges(pixels, kElementGrain / 3, [&](std::int64_t a, std::int64_t b) {
      for (std::int64_t i = a; i < b; ++i)
        for (std::int64_t c = 0; c < 3; ++c)
          y[3 * i + c] = static_cast<float>(x[3 * i + c]) *
                             scale[static_cast<std::size_t>(c)] +
                         shift[static_cast<std::size_t>(c)];
    });
  });
}

}  // namespace music::cpu
