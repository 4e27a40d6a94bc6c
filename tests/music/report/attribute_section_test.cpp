#include "music/report/attribute_section.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/core/error.h"
#include "music/codes/attribute_file.h"
#include "tests/support/attribute_data.h"

namespace {

using namespace music;
using nlohmann::json;

AttributeAnalysis example() {
  const std::vector<std::int64_t> units{8, 6, 8};
  std::vector<Attribute> attributes{
      test::random_attribute("<script>alert(\"1\")</script>", 300, 4, 1),
      test::random_attribute("noise", 300, 3, 2)};
  auto codes = test::random_codes(300, units, 3);
  test::tell(codes, 3, 0, attributes[0], 0.9, 4);
  auto analysis = analyse_attributes(codes, Segments::uneven(units), attributes,
                                     {.permutations = 99, .done = {}});
  analysis.notes.push_back("a & b");
  return analysis;
}

std::string refusal(const json& text) {
  try {
    attributes_from_json(text.dump(), "a.json");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    const std::string message = e.what();
    CHECK(message.find('\n') == message.npos);
    return message;
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

TEST_SUITE("attribute_section") {
  TEST_CASE("a file holds all of an analysis") {
    const std::string text = to_json(example());
    CHECK(to_json(attributes_from_json(text, "a.json")) == text);
  }

  TEST_CASE("files that are none") {
    const json whole = json::parse(to_json(example()));
    const auto changed = [&](const char* path, const json& value) {
      json copy = whole;
      copy[json::json_pointer(path)] = value;
      return refusal(copy);
    };
    CHECK(refusal(json::array()).starts_with("[attributes] a.json cannot be read: "));
    CHECK(changed("/version", 2) ==
          "[attributes] a.json cannot be read: version 2, expected 1");
    CHECK(changed("/images", 1e40) ==
          "[attributes] a.json cannot be read: 1e+40, expected a whole number");
    CHECK(changed("/segments/1", 0) ==
          "[attributes] a.json cannot be read: 0, expected 1 to 65536");
    CHECK(changed("/tells/p", json::array()) ==
          "[attributes] a.json cannot be read: p is not [3, 2]");
    CHECK(changed("/redundancy/0/1", "x").starts_with("[attributes]"));
    CHECK(changed("/units/rows/0/0", 3) ==
          "[attributes] a.json cannot be read: units has 3, expected less than 3");
    CHECK(changed("/values/rows/0/3", 9) ==
          "[attributes] a.json cannot be read: values has 9, expected less than 4");
    CHECK(changed("/attributes/0/best/0/segment", -1) ==
          "[attributes] a.json cannot be read: segment -1 of 3");
    CHECK(changed("/attributes/0/counts", json::array()) ==
          "[attributes] a.json cannot be read: 0 counts of 4 values");
    json without = whole;
    without.erase("tells");
    CHECK(has(refusal(without), "tells"));
  }

  TEST_CASE("a section shows what is told, and text stays text") {
    const std::string html = attribute_section(example());
    CHECK(has(html, "<section id=\"attributes\">"));
    CHECK_FALSE(has(html, "<script"));
    CHECK_FALSE(has(html, "style="));
    CHECK(has(html, "&lt;script&gt;"));
    CHECK(has(html, "a &amp; b"));
    CHECK(has(html, "Of 2 attributes the segments tell 1"));
    CHECK(has(html, "class=\"tint-"));
    CHECK(has(html, "unit 1 (segment 0)"));
  }

  TEST_CASE("a section of one segment, and of nothing told") {
    const std::vector<std::int64_t> units{4};
    const Attribute noise = test::random_attribute("noise", 40, 2, 1);
    const std::string html = attribute_section(
        analyse_attributes(test::random_codes(40, units, 2), Segments::uneven(units),
                           {&noise, 1}, {.permutations = 99, .done = {}}));
    CHECK(has(html, "Of 1 attribute the segments tell 0"));
    CHECK(has(html, "No unit stands for a value"));
  }
}
