#pragma once
// Device memory to time a kernel on. On zeros a device draws less power and
// runs faster, and not every kernel by as much: they would rank otherwise.

#include "engine/core/buffer.h"
#include "engine/core/dtype.h"

namespace music::cuda {

// Fills the buffer with numbers between -1 and 1, the same in every process:
// a block that repeats, so that large buffers cost copies on the device alone.
// Waits for it.
void random_fill(const Buffer& buffer, DType dtype);

}  // namespace music::cuda
