// The CUDA side of the method in a build without CUDA.
#include "engine/cuda/no_cuda.h"

#include "music/joint_entropy.h"

namespace music::cuda {

MUSIC_NO_CUDA(make_joint_entropy, Segments, JointEntropySpec, SharedBatch)

}  // namespace music::cuda
