#include "tools/attributes/render.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "tools/attributes/outline.h"
#include "tools/attributes/pattern.h"

namespace music {
namespace {

constexpr int kSamples = 2;  // a pixel, along each axis
constexpr int kCompanionAttempts = 40;
constexpr float kCompanionMin = 0.34f, kCompanionMax = 0.5f;  // diameters
constexpr float kBlotch = 0.8f;  // the most a blotch hides
constexpr float kShadow = 0.05f;  // beyond this distance there is none

using Rgb = std::array<float, 3>;

Rgb mix(const Rgb& a, const Rgb& b, float t) {
  return {between(a[0], b[0], t), between(a[1], b[1], t),
          between(a[2], b[2], t)};
}

Rgb scaled(const Rgb& a, float s) { return {a[0] * s, a[1] * s, a[2] * s}; }

// hue in degrees, saturation and value in [0,1].
Rgb from_hsv(float hue, float saturation, float value) {
  Rgb rgb;
  for (std::size_t c = 0; c < 3; ++c) {
    const float k =
        std::fmod(hue / 60 + std::array<float, 3>{5, 3, 1}[c], 6.f);
    rgb[c] = value * (1 - saturation *
                              std::clamp(std::min(k, 4 - k), 0.f, 1.f));
  }
  return rgb;
}

// Hue, saturation and value of the background colours, in table order. Pale: a
// strong one would be all that an encoder learns.
constexpr std::array<Rgb, 8> kBackgrounds{{{40, .05f, .78f},
                                           {220, .04f, .60f},
                                           {230, .10f, .45f},
                                           {36, .20f, .64f},
                                           {100, .18f, .58f},
                                           {205, .20f, .65f},
                                           {350, .18f, .63f},
                                           {265, .18f, .60f}}};

// One object: where it lies, and its two colours, the same hue, one of them
// pale or dark.
struct Object {
  Point centre;
  float radius;  // half the scale; local coordinates are in radii, y up
  float cosine, sine;
  Rgb colour, partner;
  Object(Point at, float scale, float degrees, float hue, Rng& rng)
      : centre(at), radius(scale / 2), cosine(std::cos(degrees * kPi / 180)),
        sine(std::sin(degrees * kPi / 180)) {
    colour = from_hsv(hue, rng.uniform(0.68f, 0.9f), rng.uniform(.75f, .95f));
    partner = rng.bernoulli(0.5)
                  ? mix(colour, {1, 1, 1}, rng.uniform(0.55f, 0.8f))
                  : scaled(colour, rng.uniform(0.3f, 0.5f));
  }
  Point local(Point p) const {
    const float u = (p.x - centre.x) / radius, v = (centre.y - p.y) / radius;
    return {cosine * u + sine * v, cosine * v - sine * u};
  }
};

// The labelled object first, then as many companions as fit: the same shape and
// texture, smaller, any colour. They make every part of the picture tell of the
// shape, and its colours tell little.
std::vector<Object> place_objects(const ImageFactors& f, Rng& rng) {
  std::vector<Object> objects;
  objects.emplace_back(
      Point{static_cast<float>(f.x), static_cast<float>(f.y)},
      static_cast<float>(f.scale), static_cast<float>(f.rotation),
      static_cast<float>(f.hue), rng);
  for (int attempt = 0; attempt < kCompanionAttempts; ++attempt) {
    const Point at{rng.uniform(), rng.uniform()};
    const float scale = rng.uniform(kCompanionMin, kCompanionMax);
    const float degrees = static_cast<float>(f.rotation) + rng.uniform(-15, 15);
    const Object candidate(at, scale, degrees, rng.uniform(0, 360), rng);
    const bool free = std::all_of(
        objects.begin(), objects.end(), [&](const Object& other) {
          return length(at.x - other.centre.x, at.y - other.centre.y) >
                 0.95f * (candidate.radius + other.radius);
        });
    if (free) objects.push_back(candidate);
  }
  return objects;
}

// The background: its pattern between a colour and a darker one, under
// blotches of light and shade.
struct Ground {
  Pattern pattern;
  Rgb colour, partner;
  std::array<Rgb, 2> blotches;
  std::uint32_t salt;
  Ground(const ImageFactors& f, Rng& rng)
      : pattern(f.name(Factor::kBackground), rng) {
    const Rgb hsv = kBackgrounds[static_cast<std::size_t>(
        f.of(Factor::kBackgroundColour))];
    colour = from_hsv(hsv[0] + rng.uniform(0, 12), hsv[1],
                      hsv[2] * rng.uniform(0.92f, 1.06f));
    partner = scaled(colour, rng.uniform(0.5f, 0.7f));
    for (Rgb& blotch : blotches)
      blotch = from_hsv(rng.uniform(0, 360), rng.uniform(0.0f, 0.25f),
                        rng.uniform(0.4f, 0.8f));
    salt = rng.next();
  }
  Rgb at(Point p) const {
    const float t = pattern.at(p);
    Rgb rgb = mix(colour, partner, t);
    for (std::uint32_t i = 0; i < blotches.size(); ++i) {
      const float n = value_noise({3 * p.x, 3 * p.y}, salt + i);
      rgb = mix(rgb, scaled(blotches[i], 1 - 0.4f * t),
                std::clamp(4 * n - 2.2f, 0.f, kBlotch));
    }
    return rgb;
  }
};

class Scene {
 public:
  Scene(const ImageFactors& factors, int samples, Rng& rng)
      : samples_(samples), texture_(factors.name(Factor::kTexture), rng),
        ground_(factors, rng), objects_(place_objects(factors, rng)) {
    constexpr std::array<Point, 4> kLights{{{-1, 0}, {1, 0}, {0, -1}, {0, 1}}};
    light_ = kLights[static_cast<std::size_t>(factors.of(Factor::kLight))];
    const float lean = rng.uniform(-0.5f, 0.5f);
    light_ = {light_.x + lean * light_.y, light_.y + lean * light_.x};
    find_nearest(Outline(factors.name(Factor::kShape)));
  }

  // Colour of sample (x, y) before exposure.
  Rgb at(int x, int y) const {
    const Point p = position(x, y);
    const float edge = nearest(x, y).distance * static_cast<float>(samples_);
    const float cover = std::clamp(0.5f - edge, 0.f, 1.f);
    Rgb rgb{};
    if (cover < 1) {
      // Shadow: the outlines, moved away from the light, soft.
      const float reach = 0.035f * static_cast<float>(samples_);
      const float behind =
          nearest(x + static_cast<int>(std::lround(reach * light_.x)),
                  y + static_cast<int>(std::lround(reach * light_.y))).distance;
      rgb = scaled(ground_.at(p),
                   1 - 0.5f * std::clamp(0.5f - 14 * behind, 0.f, 1.f));
    }
    if (cover > 0) rgb = mix(rgb, object_colour(x, y), cover);
    return scaled(rgb, 1 + 0.3f * ((p.x - 0.5f) * light_.x +
                                   (p.y - 0.5f) * light_.y));
  }

 private:
  struct Nearest {
    float distance;      // to the nearest outline, in image sides
    std::size_t object;  // whose it is
  };

  Point position(int x, int y) const {
    return {(static_cast<float>(x) + 0.5f) / static_cast<float>(samples_),
            (static_cast<float>(y) + 0.5f) / static_cast<float>(samples_)};
  }
  const Nearest& nearest(int x, int y) const {
    x = std::clamp(x, 0, samples_ - 1);
    y = std::clamp(y, 0, samples_ - 1);
    return nearest_[static_cast<std::size_t>(y * samples_ + x)];
  }
  void find_nearest(const Outline& outline) {
    nearest_.reserve(static_cast<std::size_t>(samples_ * samples_));
    for (int y = 0; y < samples_; ++y)
      for (int x = 0; x < samples_; ++x) {
        const Point p = position(x, y);
        Nearest best{1, 0};
        for (std::size_t i = 0; i < objects_.size(); ++i) {
          const Object& o = objects_[i];
          const Point q = o.local(p);
          // No outline leaves this circle; far from it, it is near enough.
          float d = o.radius * (length(q.x, q.y) - 1.2f);
          if (d >= best.distance) continue;
          if (d < kShadow) d = o.radius * outline.distance(q);
          if (d < best.distance) best = {d, i};
        }
        nearest_.push_back(best);
      }
  }
  // Texture, lit on a rounded rim: there the surface leans along the gradient
  // of the distance.
  Rgb object_colour(int x, int y) const {
    const auto [d, index] = nearest(x, y);
    const Object& object = objects_[index];
    const Rgb base = mix(object.colour, object.partner,
                         texture_.at(object.local(position(x, y))));
    const float rim = std::clamp(1 + d / (0.28f * object.radius), 0.f, 1.f);
    const float dx = nearest(x + 1, y).distance - nearest(x - 1, y).distance;
    const float dy = nearest(x, y + 1).distance - nearest(x, y - 1).distance;
    const float facing =
        (dx * light_.x + dy * light_.y) / (length(dx, dy) + 1e-6f);
    return scaled(base, 1 + 0.4f * rim * facing);
  }

  int samples_;
  Pattern texture_;
  Ground ground_;
  std::vector<Object> objects_;
  Point light_;  // direction the light comes from, image axes
  std::vector<Nearest> nearest_;
};

}  // namespace

data::Image render_attribute_image(const ImageFactors& factors, int size,
                                   Rng nuisance) {
  const Scene scene(factors, size * kSamples, nuisance);
  Rgb gain;  // exposure and white balance
  for (float& g : gain)
    g = static_cast<float>(factors.gain) * nuisance.uniform(0.92f, 1.08f);
  const float sigma = static_cast<float>(factors.noise);
  data::Image image;
  std::uint8_t* pixel = image.reset(size, size);
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      Rgb sum{};
      for (int j = 0; j < kSamples; ++j)
        for (int i = 0; i < kSamples; ++i) {
          const Rgb s = scene.at(x * kSamples + i, y * kSamples + j);
          for (std::size_t c = 0; c < 3; ++c) sum[c] += std::min(s[c], 1.f);
        }
      for (std::size_t c = 0; c < 3; ++c) {
        const float value =
            sum[c] / (kSamples * kSamples) * gain[c] +
            sigma * static_cast<float>(nuisance.normal());
        *pixel++ = static_cast<std::uint8_t>(
            std::lround(255 * std::clamp(value, 0.f, 1.f)));
      }
    }
  return image;
}

}  // namespace music
