#include "engine/io/pickle_writer.h"

#include <limits>

#include "engine/core/error.h"
#include "engine/io/little_endian.h"

namespace music {
PickleWriter::PickleWriter(int protocol) {
  bytes_ += '\x80';
  bytes_ += static_cast<char>(protocol);
}

void PickleWriter::integer(std::int64_t value) {
  if (value >= std::numeric_limits<std::int32_t>::min() &&
      value <= std::numeric_limits<std::int32_t>::max()) {
    bytes_ += 'J';
    append_number(bytes_, static_cast<std::int32_t>(value));
  } else {  // LONG1, of eight bytes
    bytes_ += "\x8a\x08";
    append_number(bytes_, value);
  }
}

void PickleWriter::text(std::string_view utf8) {
  bytes_ += 'X';
  append_number(bytes_, static_cast<std::uint32_t>(utf8.size()));
  bytes_ += utf8;
}

void PickleWriter::integers(std::span<const std::int64_t> values) {
  mark();
  for (const std::int64_t v : values) integer(v);
  tuple();
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  bytes_ += 'c';
  bytes_ += module;
  bytes_ += '\n';
  bytes_ += name;
  bytes_ += '\n';
}

void PickleWriter::bytes_ahead(std::uint64_t count) {
  MUSIC_CHECK(count <= std::numeric_limits<std::uint32_t>::max(),
              "[pickle] {} bytes in one object, limit 2^32", count);
  bytes_ += 'B';
  append_number(bytes_, static_cast<std::uint32_t>(count));
}

}  // namespace music
