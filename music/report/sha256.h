#pragma once
// SHA-256 (FIPS 180-4), for the hashes of a content security policy. What
// guards our own files is XXH3 (engine/io/file.h).

#include <array>
#include <cstdint>
#include <string_view>

namespace music {

std::array<std::uint8_t, 32> sha256(std::string_view bytes);

}  // namespace music
