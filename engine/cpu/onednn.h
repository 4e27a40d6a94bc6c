#pragma once
// oneDNN (API v2) for the CPU bodies: one engine and stream a process, raw
// pointers wrapped on the fly, its errors as ours.

#include <oneapi/dnnl/dnnl.hpp>

#include "engine/core/error.h"

namespace music::cpu {

inline dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
inline dnnl::stream& onednn_stream() {
  static dnnl::stream stream(onednn_engine());
  return stream;
}

// Runs fn and turns dnnl::error into Error, naming the op.
template <typename F>
auto onednn_guard(const char* op, F&& fn) {
  try {
    return fn();
  } catch (const dnnl::error& e) {
    throw error(ExitCode::kInternal, "[{}] oneDNN: {} (status {})", op,
                e.message, static_cast<int>(e.status));
  }
}

}  // namespace music::cpu
