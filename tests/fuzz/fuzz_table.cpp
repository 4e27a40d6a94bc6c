// Tables of attributes, for images of these names.

#include "music/codes/attribute_table.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static const std::vector<std::string> files{
      "train/a/1.jpg", "train/b/1.jpg", "test/a/2.jpg", "3.jpg", "3.jpg",
      "x/y/4.png",     "./5.jpg",       "b.bin:7",      "/",     ""};
  return music::fuzz::run(music::ExitCode::kData, [&] {
    const auto table = music::parse_attribute_table(
        {reinterpret_cast<const char*>(data), size}, "table", files);
    for (const music::Attribute& a : table.attributes) {
      if (a.rows.size() != files.size() || a.values.size() < 2) std::abort();
      for (const std::int32_t r : a.rows)
        if (r < -1 || r >= static_cast<std::int32_t>(a.values.size())) std::abort();
    }
    for (const std::string& note : table.notes)
      if (note.find('\n') != note.npos) std::abort();
  });
}
