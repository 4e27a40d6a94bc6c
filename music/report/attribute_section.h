#pragma once
// What an analysis of attributes found, as a part of a page.

#include <string>
#include <string_view>

#include "music/codes/attribute_analysis.h"

namespace music {

// <section id="attributes"> with a heading, the map of segments and attributes, the
// best segments of each attribute, what units stand for, redundancy and notes.
std::string attribute_section(const AttributeAnalysis& analysis);

// Goes into HtmlPage::styles of a page with such a section.
std::string_view attribute_styles();

}  // namespace music
