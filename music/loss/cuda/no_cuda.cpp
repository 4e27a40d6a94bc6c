// The CUDA side of the method in a build without CUDA.
#include "engine/cuda/no_cuda.h"

#include "music/loss/cuda/joint_entropy.h"
#include "music/loss/joint_entropy.h"

namespace music::cuda {

MUSIC_NO_CUDA(make_joint_entropy, Segments, JointEntropySpec, SharedBatch,
              DType)
MUSIC_NO_CUDA(make_joint_entropy, Segments, JointEntropySpec, SharedBatch,
              DType, PanelWidths)

}  // namespace music::cuda
