#pragma once
// The style sheet of every page (music/report/html.h lists its classes): light
// and dark by the reader's setting, from a phone's width up.

#include <string_view>

namespace music {

extern const std::string_view kStyleSheet;

}  // namespace music
