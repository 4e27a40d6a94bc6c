#pragma once
// Lists: text, one image a line. docs/data-formats.md ("Folders and lists") tells
// users these rules:
//  - A line is a path and, after a tab, blanks or a comma, a class number from 0.
//    A path ends behind an image's extension; without one a last word of digits is
//    the class number, and a tab ends the path in any case.
//  - Blanks around a line and quotes around a path do not count; nor do empty
//    lines, lines that begin with # (unless a file of that name exists), the ends
//    of lines of Windows and of old Macs, and a byte order mark at the start.
//  - Backslashes are slashes in a path that has no slash, and ~/ is $HOME.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample_table.h"

namespace music::data {

struct ImageList {
  StringList paths;
  std::vector<int> labels;  // -1: none; all of them where fault is set
  std::vector<int> lines;   // number of each image's line, from 1
  int classes = 0;
  // Why there are labels that cannot be used, in one line; otherwise empty.
  std::string fault;
};

// name: of the list, for messages. exists: whether there is a file of this path.
// Throws Error kData, in one line, for text that is no list: a table with a header,
// UTF-16, bytes that are no text, no image at all.
ImageList parse_image_list(std::string_view text, const std::string& name,
                           const std::function<bool(const std::string&)>& exists);

// One line; what cannot be seen is written as \u{feff}, bytes that are no UTF-8 as
// \xe9. Long text is cut.
std::string visible(std::string_view text);

}  // namespace music::data
