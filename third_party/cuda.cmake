# CUDA, cuBLASLt and cuDNN, as the target music_cuda_libraries. Two flavours:
# CUDA 13 for compute capability 7.5 and later, CUDA 12 for 7.0 (V100) too, which
# cuDNN serves up to 9.10.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(music_choose_architectures TRUE)
  set(CMAKE_CUDA_ARCHITECTURES 80)  # for the compiler check alone
endif()
enable_language(CUDA)
find_package(CUDAToolkit 12 REQUIRED)
if(music_choose_architectures)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 13)
    set(CMAKE_CUDA_ARCHITECTURES 75 80 90 100)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 70 80 90)
  endif()
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9
  HINTS ${CUDAToolkit_LIBRARY_DIR} REQUIRED)

# "90" or "90-real" -> 90: what the programs say they have code for.
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES REPLACE "[a-z-].*" ""
  OUTPUT_VARIABLE music_architectures)
list(JOIN music_architectures "," music_architectures)
add_library(music_cuda_libraries INTERFACE)
target_include_directories(music_cuda_libraries SYSTEM INTERFACE
  ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
target_compile_definitions(music_cuda_libraries INTERFACE
  "MUSIC_CUDA_ARCHITECTURES=${music_architectures}")
target_link_libraries(music_cuda_libraries INTERFACE CUDA::cudart_static
  CUDA::cublasLt ${CUDNN_LIBRARY} ${CMAKE_DL_LIBS})
