#pragma once
// Patterns as functions of a point: textures of objects and backgrounds, each a
// mixing weight in [0,1] between two colours.

#include <cstdint>
#include <string_view>

#include "engine/core/rng.h"
#include "tools/attributes/outline.h"

namespace music {

// From a at t = 0 to b at t = 1 (std::lerp guards infinities at five times the
// cost).
inline float between(float a, float b, float t) { return a + t * (b - a); }

// Smooth noise in [0,1] with features about 1 apart, a function of (p, salt).
float value_noise(Point p, std::uint32_t salt);

// A pattern with its accidental parameters (frequency, phase, angle) drawn.
class Pattern {
 public:
  // name: a value of Factor::kTexture, points as Outline's; or a value of
  // Factor::kBackground, points in [0,1]^2. Throws when it is neither.
  Pattern(std::string_view name, Rng& rng);
  float at(Point p) const { return function_(*this, p); }

 private:
  friend struct Patterns;
  float (*function_)(const Pattern&, Point) = nullptr;
  float frequency_ = 1, phase_ = 0, cosine_ = 1, sine_ = 0;
  std::uint32_t salt_ = 0;
};

}  // namespace music
