#pragma once
// VICReg and Barlow Twins on the GPU, never holding D x D: as the factories of
// music/loss/vicreg.h and barlow_twins.h, with panels of these widths: tests
// want several panels of a small matrix.

#include <memory>

#include "music/loss/barlow_twins.h"
#include "music/loss/cuda/tile_panels.h"
#include "music/loss/vicreg.h"

namespace music::cuda {

std::unique_ptr<Kernel> make_vicreg(const KernelRequest& request,
                                    VicregSpec spec, SharedBatch batch,
                                    DType codes, PanelWidths widths);
std::unique_ptr<Kernel> make_barlow_twins(const KernelRequest& request,
                                          BarlowTwinsSpec spec,
                                          SharedBatch batch, DType codes,
                                          PanelWidths widths);

}  // namespace music::cuda
