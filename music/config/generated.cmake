# Sources written when the build is configured.

# Writes ${output}: a C++ source in which `function`, declared in `header`, gives
# the texts of ${folder}/*.toml by name. Repeated when one changes, comes or goes.
function(music_embed_toml output folder header function)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.toml)
  set(entries "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND entries "      {\"${name}\", R\"preset(${text})preset\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Generated from @folder@/*.toml.
#include "@header@"

namespace music {

const std::map<std::string, std::string>& @function@() {
  static const std::map<std::string, std::string> texts = {
@entries@  };
  return texts;
}

}  // namespace music
]])
endfunction()

# Writes ${output}: version, commit and compiler. Without git or a checkout
# the commit is empty.
function(music_build_info output)
  set(commit "")
  find_package(Git QUIET)
  if(GIT_FOUND AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
    execute_process(
      COMMAND ${GIT_EXECUTABLE} describe --always --dirty --tags
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
      RESULT_VARIABLE failed ERROR_QUIET)
    if(NOT failed)
      set(commit ${described})
    endif()
  endif()
  set(version ${PROJECT_VERSION})
  set(compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  set(build_type ${CMAKE_BUILD_TYPE})
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Generated.
#include "music/files/build_info.h"

namespace music {

const BuildInfo& build_info() {
  static const BuildInfo info{"@version@", "@commit@", "@compiler@",
                              "@build_type@"};
  return info;
}

}  // namespace music
]])
endfunction()

# Writes ${output}: the scripts and style sheets of music/report/embedded.h.
# Repeated when one of them changes.
function(music_embed_web output)
  set(web ${PROJECT_SOURCE_DIR}/music/report/web)
  set(dygraphs_licence ${PROJECT_SOURCE_DIR}/third_party/dygraphs-licence.txt)
  set(dygraphs_js ${MUSIC_DYGRAPHS}/dygraph.min.js)
  set(dygraphs_css ${MUSIC_DYGRAPHS}/dygraph.min.css)
  set(charts_js ${web}/charts.js)
  set(charts_css ${web}/charts.css)
  set(entries "")
  foreach(name dygraphs_licence dygraphs_js dygraphs_css charts_js charts_css)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${${name}})
    file(READ ${${name}} text)
    # Where the sources of a smaller script lie: a page would ask for that file.
    string(REGEX REPLACE "\n(//|/\\*)# sourceMappingURL=[^\n]*" "" text "${text}")
    string(APPEND entries
      "const std::string_view embedded_${name} = R\"embedded(${text})embedded\";\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Generated from music/report/web/, third_party/ and the package of dygraphs.
#include "music/report/embedded.h"

namespace music {

@entries@
}  // namespace music
]])
endfunction()
