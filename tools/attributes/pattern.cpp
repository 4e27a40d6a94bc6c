#include "tools/attributes/pattern.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/core/error.h"

namespace music {
namespace {

// A number in [0,1) for a lattice point.
float lattice(int x, int y, std::uint32_t salt) {
  std::uint32_t h = static_cast<std::uint32_t>(x) * 0x8DA6B343u ^
                    static_cast<std::uint32_t>(y) * 0xD8163841u ^ salt;
  h = (h ^ (h >> 16)) * 0x7FEB352Du;
  h = (h ^ (h >> 15)) * 0x846CA68Bu;
  return static_cast<float>((h ^ (h >> 16)) >> 8) * 0x1p-24f;
}

float fractal(Point p, std::uint32_t salt) {
  return (4 * value_noise(p, salt) +
          2 * value_noise({2 * p.x, 2 * p.y}, salt + 1) +
          value_noise({4 * p.x, 4 * p.y}, salt + 2)) / 7;
}

// A wave of period 1 in [0,1] with flat crests.
float wave(float x) {
  return std::clamp(0.5f + 1.6f * std::sin(2 * kPi * x), 0.f, 1.f);
}

float step_down(float edge, float width, float x) {
  return std::clamp((edge - x) / width + 0.5f, 0.f, 1.f);
}

float fraction(float x) { return x - std::floor(x); }

int cell(float x) { return static_cast<int>(std::floor(x)); }

}  // namespace

float value_noise(Point p, std::uint32_t salt) {
  const int x = cell(p.x), y = cell(p.y);
  float u = fraction(p.x), v = fraction(p.y);
  u = u * u * (3 - 2 * u);
  v = v * v * (3 - 2 * v);
  return between(
      between(lattice(x, y, salt), lattice(x + 1, y, salt), u),
      between(lattice(x, y + 1, salt), lattice(x + 1, y + 1, salt), u), v);
}

struct Patterns {
  // The point in the pattern's own turned and scaled frame.
  static Point turned(const Pattern& a, Point p) {
    return {a.frequency_ * (a.cosine_ * p.x + a.sine_ * p.y) + a.phase_,
            a.frequency_ * (a.cosine_ * p.y - a.sine_ * p.x) + a.phase_};
  }

  static float solid(const Pattern&, Point) { return 0; }
  static float stripes(const Pattern& a, Point p) {
    return wave(turned(a, p).x);
  }
  static float checker(const Pattern& a, Point p) {
    const Point q = turned(a, p);
    return (cell(1.3f * q.x) + cell(1.3f * q.y)) % 2 == 0 ? 0.f : 1.f;
  }
  static float dots(const Pattern& a, Point p) {
    const Point q = turned(a, p);
    return step_down(0.31f, 0.08f, length(fraction(q.x) - 0.5f,
                                              fraction(q.y) - 0.5f));
  }
  static float gradient(const Pattern& a, Point p) {
    return std::clamp(0.5f + 0.55f * (a.cosine_ * p.x + a.sine_ * p.y), 0.f,
                      1.f);
  }
  static float marble(const Pattern& a, Point p) {
    const Point q = turned(a, p);
    return 0.5f + 0.5f * std::sin(2 * kPi * (0.5f * q.x +
                                             1.8f * fractal(q, a.salt_)));
  }
  static float rings(const Pattern& a, Point p) {
    return wave(a.frequency_ * length(p.x, p.y) + a.phase_);
  }
  static float grid(const Pattern& a, Point p) {
    const Point q = turned(a, p);
    return step_down(0.13f, 0.05f,
                     std::min(std::abs(fraction(q.x) - 0.5f),
                              std::abs(fraction(q.y) - 0.5f)));
  }

  static float plain(const Pattern& a, Point p) {
    return 0.25f + 0.3f * (a.cosine_ * (p.x - 0.5f) + a.sine_ * (p.y - 0.5f));
  }
  static float clouds(const Pattern& a, Point p) {
    const float n = fractal({a.frequency_ * p.x, a.frequency_ * p.y}, a.salt_);
    return std::clamp(2.2f * n - 0.6f, 0.f, 1.f);
  }
  static float planks(const Pattern& a, Point p) {
    const float across = 1.4f * a.frequency_ * p.y + a.phase_;
    const float tone = lattice(cell(across), 7, a.salt_);
    const float grain = fractal({3 * p.x + 9 * tone, 30 * p.y}, a.salt_ + 5);
    const float gap = step_down(0.06f, 0.04f, fraction(across));
    return std::clamp(0.5f * tone + 0.55f * grain - 0.2f + gap, 0.f, 1.f);
  }
  static float tiles(const Pattern& a, Point p) {
    const Point q{1.3f * a.frequency_ * p.x + a.phase_,
                  1.3f * a.frequency_ * p.y + a.phase_};
    const float grout =
        step_down(0.07f, 0.04f, std::min(fraction(q.x), fraction(q.y)));
    return std::max(grout, 0.3f * lattice(cell(q.x), cell(q.y), a.salt_));
  }
  // Distance to the nearest of one random point per cell.
  static float pebbles(const Pattern& a, Point p) {
    const float x = 1.8f * a.frequency_ * p.x, y = 1.8f * a.frequency_ * p.y;
    float nearest = 9;
    for (int j = cell(y) - 1; j <= cell(y) + 1; ++j)
      for (int i = cell(x) - 1; i <= cell(x) + 1; ++i) {
        const float dx = static_cast<float>(i) + lattice(i, j, a.salt_) - x;
        const float dy = static_cast<float>(j) + lattice(i, j, a.salt_ + 1) - y;
        nearest = std::min(nearest, dx * dx + dy * dy);
      }
    return std::clamp(1.1f * nearest, 0.f, 1.f);
  }
  static float grass(const Pattern& a, Point p) {
    const float sway = 4 * value_noise({3 * p.x, 3 * p.y}, a.salt_ + 9);
    const float blades = value_noise({42 * p.x + sway, 7 * p.y}, a.salt_);
    return std::clamp(0.75f * blades + 0.5f * fractal({5 * p.x, 5 * p.y},
                                                      a.salt_ + 3) - 0.15f,
                      0.f, 1.f);
  }
};

Pattern::Pattern(std::string_view name, Rng& rng) {
  using Entry = std::pair<std::string_view, float (*)(const Pattern&, Point)>;
  static constexpr std::array<Entry, 14> kPatterns{{
      {"solid", Patterns::solid},       {"stripes", Patterns::stripes},
      {"checker", Patterns::checker},   {"dots", Patterns::dots},
      {"gradient", Patterns::gradient}, {"marble", Patterns::marble},
      {"rings", Patterns::rings},       {"grid", Patterns::grid},
      {"plain", Patterns::plain},       {"clouds", Patterns::clouds},
      {"planks", Patterns::planks},     {"tiles", Patterns::tiles},
      {"pebbles", Patterns::pebbles},   {"grass", Patterns::grass},
  }};
  for (const auto& [key, function] : kPatterns)
    if (key == name) function_ = function;
  MUSIC_CHECK(function_ != nullptr, "[attributes] no pattern '{}'", name);
  frequency_ = rng.uniform(1.3f, 2.1f);
  phase_ = rng.uniform(0, 64);
  const float angle = rng.uniform(0, 2 * kPi);
  cosine_ = std::cos(angle);
  sine_ = std::sin(angle);
  salt_ = rng.next();
}

}  // namespace music
