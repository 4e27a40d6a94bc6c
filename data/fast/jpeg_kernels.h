#pragma once
// From coefficients to RGB rows, with libjpeg's integers: its slow inverse DCT,
// its fancy upsampling and its colour conversion, to the bit for coefficients
// that an encoder makes.

#include <cstddef>
#include <cstdint>

namespace music::data::fast {

// Groups of four blocks (CoefficientRow) to eight rows of 32 samples a group,
// groups side by side. quant in rows.
void inverse_dct(const std::int16_t* coefficients, const std::uint8_t* last,
                 std::size_t groups, const std::int16_t* quant,
                 std::uint8_t* out, std::size_t stride);

// Rows may be read and written up to 64 bytes beyond their n samples. The ends
// of a row are those of the component.

// 2n samples from n: weights 3/4 and 1/4.
void upsample_across(const std::uint8_t* in, std::size_t n, std::uint8_t* out,
                     std::int16_t* scratch);
// The same with the next nearest row in the other direction.
void upsample_both(const std::uint8_t* near, const std::uint8_t* far,
                   std::size_t n, std::uint8_t* out, std::int16_t* scratch);

// n pixels, of which exactly 3 n bytes are written.
void ycbcr_to_rgb(const std::uint8_t* y, const std::uint8_t* cb,
                  const std::uint8_t* cr, std::size_t n, std::uint8_t* rgb);
void gray_to_rgb(const std::uint8_t* y, std::size_t n, std::uint8_t* rgb);

}  // namespace music::data::fast
