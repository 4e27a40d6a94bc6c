#pragma once
// Which gradients of a product of two views A^T B are wanted.

namespace music {

enum class Gradients {
  kNone,
  kB,  // one side: enough where A = B
  kBoth,
};

}  // namespace music
