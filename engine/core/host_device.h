#pragma once
// Marks small inline functions that the CPU and the GPU bodies share.

#ifdef __CUDACC__
#define MUSIC_HOST_DEVICE __host__ __device__
#else
#define MUSIC_HOST_DEVICE
#endif
