# Writes ${output}: a C++ source that holds presets/*.toml, so that --preset
# works wherever the program runs. Runs at configure time, and again when a
# preset changes, comes or goes.
function(music_embed_presets output)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/presets/*.toml)
  set(entries "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND entries "      {\"${name}\", R\"preset(${text})preset\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Generated from presets/*.toml.
#include "music/presets.h"

namespace music {

const std::map<std::string, std::string>& embedded_presets() {
  static const std::map<std::string, std::string> presets = {
@entries@  };
  return presets;
}

}  // namespace music
]])
endfunction()
