#pragma once
// What an analysis of attributes found, as a part of a page.

#include <string>
#include <string_view>

#include "music/codes/attribute_analysis.h"

namespace music {

// <section> with a heading, the map of segments and attributes, the best segments of
// each attribute, what units stand for, redundancy and notes. run: whose, where a page
// has several, each with an id of its own.
std::string attribute_section(const AttributeAnalysis& analysis,
                              const std::string& id = "attributes",
                              const std::string& run = "");

// Goes into HtmlPage::styles of a page with such a section.
std::string_view attribute_styles();

}  // namespace music
