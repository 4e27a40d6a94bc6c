// The CUDA side of a build without CUDA: every factory exists and says so.
#include "engine/cuda/no_cuda.h"

#include "engine/ops/add.h"
#include "engine/ops/avg_pool.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/cast.h"
#include "engine/ops/column_deviation.h"
#include "engine/ops/contrastive.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/conv2d_norm.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/global_avg_pool.h"
#include "engine/ops/image_normalize.h"
#include "engine/ops/inner.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/max_pool.h"
#include "engine/ops/push_rows.h"
#include "engine/ops/reduce.h"
#include "engine/ops/relu.h"
#include "engine/ops/roi_align.h"
#include "engine/ops/running_statistics.h"
#include "engine/ops/scale.h"
#include "engine/ops/segment_softmax.h"
#include "engine/ops/sinkhorn.h"
#include "engine/ops/soft_cross_entropy.h"
#include "engine/ops/top_hits.h"
#include "engine/optim/kept_buffers.h"
#include "engine/optim/optimizer.h"

namespace music::cuda {
MUSIC_NO_CUDA(make_add)
MUSIC_NO_CUDA(make_avg_pool_backward, AvgPoolSpec)
MUSIC_NO_CUDA(make_avg_pool_forward, AvgPoolSpec)
MUSIC_NO_CUDA(make_batch_norm_apply, BatchNormForm)
MUSIC_NO_CUDA(make_batch_norm_backward_apply, BatchNormForm)
MUSIC_NO_CUDA(make_batch_norm_backward_statistics, BatchNormForm)
MUSIC_NO_CUDA(make_batch_norm_inference, BatchNormForm)
MUSIC_NO_CUDA(make_batch_norm_statistics, BatchNormForm)
MUSIC_NO_CUDA(make_cast)
MUSIC_NO_CUDA(make_column_deviation)
MUSIC_NO_CUDA(make_contrastive, ContrastiveSpec)
MUSIC_NO_CUDA(make_conv2d_backward_data, Conv2dSpec)
MUSIC_NO_CUDA(make_conv2d_backward_weights, Conv2dSpec)
MUSIC_NO_CUDA(make_conv2d_forward, Conv2dSpec)
MUSIC_NO_CUDA(make_conv2d_norm, Conv2dNormSpec)
MUSIC_NO_CUDA(make_cross_entropy)
MUSIC_NO_CUDA(make_global_avg_pool_backward)
MUSIC_NO_CUDA(make_global_avg_pool_forward)
MUSIC_NO_CUDA(make_image_normalize, ImageNormalizeSpec)
MUSIC_NO_CUDA(make_inner)
MUSIC_NO_CUDA(make_l2_normalize_backward, float)
MUSIC_NO_CUDA(make_l2_normalize_forward, float)
MUSIC_NO_CUDA(make_linear_backward_bias)
MUSIC_NO_CUDA(make_linear_backward_data)
MUSIC_NO_CUDA(make_linear_backward_weights)
MUSIC_NO_CUDA(make_linear_forward)
MUSIC_NO_CUDA(make_max_pool_backward, MaxPoolSpec)
MUSIC_NO_CUDA(make_max_pool_forward, MaxPoolSpec)
MUSIC_NO_CUDA(make_push_rows)
MUSIC_NO_CUDA(make_queue_contrastive, ContrastiveSpec)
MUSIC_NO_CUDA(make_reduce_backward, ReduceKind)
MUSIC_NO_CUDA(make_reduce_forward, ReduceKind)
MUSIC_NO_CUDA(make_relu_backward)
MUSIC_NO_CUDA(make_relu_forward)
MUSIC_NO_CUDA(make_roi_align_backward, RoiAlignSpec)
MUSIC_NO_CUDA(make_roi_align_forward, RoiAlignSpec)
MUSIC_NO_CUDA(make_row_inner_backward)
MUSIC_NO_CUDA(make_row_inner_forward)
MUSIC_NO_CUDA(make_running_statistics, double)
MUSIC_NO_CUDA(make_scale)
MUSIC_NO_CUDA(make_segment_softmax_backward, SegmentSoftmaxSpec)
MUSIC_NO_CUDA(make_segment_softmax_forward, SegmentSoftmaxSpec)
MUSIC_NO_CUDA(make_sinkhorn_columns)
MUSIC_NO_CUDA(make_sinkhorn_exponentials, double)
MUSIC_NO_CUDA(make_sinkhorn_rows)
MUSIC_NO_CUDA(make_soft_cross_entropy, SoftCrossEntropySpec)
MUSIC_NO_CUDA(make_top_hits, int)

std::unique_ptr<Optimizer> make_optimizer(Parameters&, const OptimizerSpec&,
                                          const LossScaleSpec&) {
  throw error(ExitCode::kUsage,
              "[optimizer] this build has no CUDA: use the cpu device");
}

void restore_buffers(float*, const float*, std::int64_t, const UpdateState*,
                     void*) {}  // of a device that is not there

}  // namespace music::cuda
