# CUDA, cuBLASLt and cuDNN, as the target music_cuda_libraries. Two flavours:
# CUDA 13 for compute capability 7.5 and later, CUDA 12 for 7.0 (V100) too, which
# cuDNN serves up to 9.10.
find_package(CUDAToolkit 12 REQUIRED)
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 13)
    set(CMAKE_CUDA_ARCHITECTURES 75 80 90 100)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 70 80 90)
  endif()
endif()
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9
  HINTS ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
file(STRINGS ${CUDNN_INCLUDE_DIR}/cudnn_version.h music_cudnn_version
  REGEX "#define CUDNN_(MAJOR|MINOR) [0-9]+")
list(TRANSFORM music_cudnn_version REPLACE "[^0-9]" "")
list(JOIN music_cudnn_version "." music_cudnn_version)
if(music_cudnn_version VERSION_LESS 9)
  message(FATAL_ERROR "cuDNN is ${music_cudnn_version}, expected 9")
endif()
if(CMAKE_CUDA_ARCHITECTURES MATCHES "(^|;)70"
    AND (CUDAToolkit_VERSION VERSION_GREATER_EQUAL 13
      OR music_cudnn_version VERSION_GREATER_EQUAL 9.11))
  message(FATAL_ERROR "Compute capability 7.0 needs CUDA 12 and cuDNN up to 9.10, "
    "found CUDA ${CUDAToolkit_VERSION} and cuDNN ${music_cudnn_version}")
endif()

enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # before CMake 3.25.2
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
endif()

# "90" or "90-real" -> 90: what the programs say they have code for.
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES REPLACE "[a-z-].*" ""
  OUTPUT_VARIABLE music_architectures)
list(JOIN music_architectures "," music_architectures)
add_library(music_cuda_libraries INTERFACE)
target_include_directories(music_cuda_libraries SYSTEM INTERFACE
  ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
target_compile_definitions(music_cuda_libraries INTERFACE  # nvcc splits at commas
  "$<$<COMPILE_LANGUAGE:CXX>:MUSIC_CUDA_ARCHITECTURES=${music_architectures}>")
target_link_libraries(music_cuda_libraries INTERFACE CUDA::cudart_static
  CUDA::cublasLt ${CUDNN_LIBRARY} ${CMAKE_DL_LIBS})

# NCCL, as the target music_nccl.
set(MUSIC_WITH_NCCL OFF)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2
  HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_ROOT}/lib)
if(NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
  file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h music_nccl_version
    REGEX "#define NCCL_(MAJOR|MINOR) [0-9]+")
  list(TRANSFORM music_nccl_version REPLACE "[^0-9]" "")
  list(JOIN music_nccl_version "." music_nccl_version)
  if(music_nccl_version VERSION_LESS 2.18)
    message(FATAL_ERROR "NCCL is ${music_nccl_version}, expected 2.18")
  endif()
  set(MUSIC_WITH_NCCL ON)
  add_library(music_nccl INTERFACE)
  target_include_directories(music_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR}
    ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(music_nccl INTERFACE ${NCCL_LIBRARY} CUDA::cudart_static)
else()
  message(STATUS "No NCCL: processes on GPUs exchange through host memory")
endif()

# The headers of cuDNN's graph API, as the target music_cudnn_frontend, for
# bench_conv alone: tools/setup.sh --cuda fetches them.
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h
  HINTS ${CMAKE_CURRENT_LIST_DIR}/../build/cudnn-frontend/include)
if(CUDNN_FRONTEND_INCLUDE_DIR)
  add_library(music_cudnn_frontend INTERFACE)
  target_include_directories(music_cudnn_frontend SYSTEM INTERFACE
    ${CUDNN_FRONTEND_INCLUDE_DIR})
  target_link_libraries(music_cudnn_frontend INTERFACE music_cuda_libraries
    CUDA::nvrtc)
else()
  message(STATUS "No cudnn-frontend (tools/setup.sh --cuda): bench_conv leaves "
    "out cuDNN's graph API")
endif()
