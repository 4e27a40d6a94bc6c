#pragma once
// Files that pages carry with them, embedded when the build is configured
// (music_embed_web): dygraphs (https://dygraphs.com, MIT) with its licence, and
// what is in music/report/web.

#include <string_view>

namespace music {

extern const std::string_view embedded_dygraphs_licence, embedded_dygraphs_js,
    embedded_dygraphs_css, embedded_charts_js, embedded_charts_css;

}  // namespace music
