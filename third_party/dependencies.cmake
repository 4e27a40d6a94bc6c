# The one place that finds third-party code. third_party/README.md: name,
# version, licence, why.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
find_package(DNNL 2.6 REQUIRED)
find_package(JPEG REQUIRED)
find_package(LibArchive 3.6 REQUIRED)
# As programs link it. Reading tar needs nothing else from a static libarchive,
# so that portable programs (their target property MUSIC_PORTABLE) bring neither
# XML nor ICU, nor the newest C library; writing refers to all it can do.
find_library(MUSIC_LIBARCHIVE_STATIC libarchive.a)
mark_as_advanced(MUSIC_LIBARCHIVE_STATIC)
add_library(Music3rdParty::archive INTERFACE IMPORTED)
target_include_directories(Music3rdParty::archive INTERFACE ${LibArchive_INCLUDE_DIRS})
target_link_libraries(Music3rdParty::archive INTERFACE
  $<IF:$<AND:$<BOOL:${MUSIC_LIBARCHIVE_STATIC}>,$<BOOL:$<TARGET_PROPERTY:MUSIC_PORTABLE>>>,${MUSIC_LIBARCHIVE_STATIC},LibArchive::LibArchive>)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy>=1.0.3)
find_path(MUSIC_STB_INCLUDE_DIR stb/stb_image.h REQUIRED)
# MUSIC_MPI: AUTO, ON or OFF. The C interface is used, found as C++ because
# the project has no C.
set(MPI_CXX_SKIP_MPICXX TRUE)
if(MUSIC_MPI STREQUAL "AUTO")
  find_package(MPI 3.1 COMPONENTS CXX)
elseif(MUSIC_MPI)
  find_package(MPI 3.1 REQUIRED COMPONENTS CXX)
endif()
set(MUSIC_WITH_MPI OFF)
if(MUSIC_MPI AND MPI_CXX_FOUND)
  set(MUSIC_WITH_MPI ON)
endif()
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
if(MUSIC_CUDA)
  include(${CMAKE_CURRENT_LIST_DIR}/cuda.cmake)
endif()
if(MUSIC_TESTS)
  find_package(doctest REQUIRED)
endif()
