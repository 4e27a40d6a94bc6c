// The CUDA side of the method in a build without CUDA.
#include "engine/cuda/no_cuda.h"

#include "music/loss/barlow_twins.h"
#include "music/loss/cuda/joint_entropy.h"
#include "music/loss/cuda/view_losses.h"
#include "music/loss/joint_entropy.h"
#include "music/loss/vicreg.h"

namespace music::cuda {

MUSIC_NO_CUDA(make_joint_entropy, Segments, JointEntropySpec, SharedBatch,
              DType)
MUSIC_NO_CUDA(make_joint_entropy, Segments, JointEntropySpec, SharedBatch,
              DType, PanelWidths)
MUSIC_NO_CUDA(make_vicreg, VicregSpec, SharedBatch, DType)
MUSIC_NO_CUDA(make_vicreg, VicregSpec, SharedBatch, DType, PanelWidths)
MUSIC_NO_CUDA(make_barlow_twins, BarlowTwinsSpec, SharedBatch, DType)
MUSIC_NO_CUDA(make_barlow_twins, BarlowTwinsSpec, SharedBatch, DType,
              PanelWidths)

}  // namespace music::cuda
