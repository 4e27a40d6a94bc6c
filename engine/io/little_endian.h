#pragma once
// Numbers in the byte order of the files here, which is this machine's.

#include <bit>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace music {

static_assert(std::endian::native == std::endian::little);

template <typename T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Throws std::out_of_range where it does not lie inside.
template <typename T>
T number_at(std::string_view bytes, std::size_t at) {
  T value;
  (void)bytes.at(at + sizeof value - 1);
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace music
