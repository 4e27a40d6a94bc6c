#pragma once
// Tensor: a non-owning, contiguous, row-major view. Copy it freely; whoever
// made the memory (Buffer, arena, parameter block) keeps it alive.

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/core/dtype.h"
#include "engine/core/shape.h"

namespace music {

struct Tensor {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::kF32;

  std::int64_t elements() const { return shape.elements(); }
  std::size_t bytes() const {
    return static_cast<std::size_t>(elements()) * size_of(dtype);
  }
  // Typed access; throws when T is not the tensor's dtype.
  template <typename T>
  T* as() const {
    MUSIC_CHECK(dtype == DTypeOf<T>::value, "[tensor] is {}, asked for {}",
                name_of(dtype), name_of(DTypeOf<T>::value));
    return static_cast<T*>(data);
  }
  float* f32() const { return as<float>(); }
  template <typename T>
  std::span<T> span() const {
    return {as<T>(), static_cast<std::size_t>(elements())};
  }
};

}  // namespace music
