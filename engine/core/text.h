#pragma once
// Text of unknown origin, such as names of files, in messages of one line:
// control characters are written as \x0a and the like.

#include <string>
#include <string_view>

namespace music {

// All of it.
std::string one_line(std::string_view text);

// Quoted, non-ASCII escaped too, cut after 60 characters.
std::string in_quotes(std::string_view text);

}  // namespace music
