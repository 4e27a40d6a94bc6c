// attributes.json, as the report reads and shows it.

#include "music/codes/attribute_file.h"
#include "music/report/attribute_section.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  return music::fuzz::run(music::ExitCode::kData, [&] {
    const auto analysis = music::attributes_from_json(
        {reinterpret_cast<const char*>(data), size}, "attributes.json");
    const std::string html = music::attribute_section(analysis);
    if (html.find("<script") != html.npos) std::abort();
  });
}
