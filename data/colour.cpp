// Compiled without contraction of a * b + c: Pillow rounds both.
#include "data/colour.h"

#include <algorithm>

namespace music::data {
namespace {

constexpr std::size_t kBlock = 128;  // pixels; planes of a block stay in L1

struct Planes {
  std::uint8_t r[kBlock], g[kBlock], b[kBlock];

  void load(const std::uint8_t* rgb, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      r[i] = rgb[3 * i];
      g[i] = rgb[3 * i + 1];
      b[i] = rgb[3 * i + 2];
    }
  }
  void store(std::uint8_t* rgb, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) {
      rgb[3 * i] = r[i];
      rgb[3 * i + 1] = g[i];
      rgb[3 * i + 2] = b[i];
    }
  }
};

// f(planes): in place on all kBlock pixels; the last block has stale ones.
template <typename F>
void for_blocks(std::uint8_t* rgb, std::size_t n, F f) {
  Planes planes{};
  for (std::size_t i = 0; i < n; i += kBlock) {
    if (n - i >= kBlock) {
      planes.load(rgb + 3 * i, kBlock);
      f(planes);
      planes.store(rgb + 3 * i, kBlock);
    } else {
      planes.load(rgb + 3 * i, n - i);
      f(planes);
      planes.store(rgb + 3 * i, n - i);
    }
  }
}

int luma(int r, int g, int b) {
  return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
}

// Pillow's blend: truncated, clipped where a factor above 1 extrapolates.
std::uint8_t blend(int from, int to, float factor) {
  const float v =
      static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::uint8_t>(
      static_cast<int>(std::min(std::max(v, 0.0f), 255.0f)));
}

void blend_with(std::uint8_t* rgb, std::size_t n, int grey, float factor) {
  for (std::size_t i = 0; i < 3 * n; ++i) rgb[i] = blend(grey, rgb[i], factor);
}

// Pillow's rgb2hsv, types included. h is 0 where the pixel is grey.
void to_hsv(int r, int g, int b, int& h, int& s, int& v) {
  const int most = std::max(r, std::max(g, b));
  const int least = std::min(r, std::min(g, b));
  const int range = most - least;
  const float span = static_cast<float>(std::max(range, 1));
  const float rc = static_cast<float>(most - r) / span;
  const float gc = static_cast<float>(most - g) / span;
  const float bc = static_cast<float>(most - b) / span;
  const float red = bc - gc;
  const float green = static_cast<float>(2.0 + rc - bc);
  const float blue = static_cast<float>(4.0 + gc - rc);
  const float sixth = r == most ? red : g == most ? green : blue;
  const double turn = sixth / 6.0 + 1.0;  // in [5/6, 2)
  const float hue = static_cast<float>(turn >= 1.0 ? turn - 1.0 : turn);
  const float share = span / static_cast<float>(std::max(most, 1));
  const int uh = std::min(static_cast<int>(hue * 255.0), 255);
  const int us = std::min(static_cast<int>(share * 255.0), 255);
  h = range == 0 ? 0 : uh;
  s = range == 0 ? 0 : us;
  v = most;
}

// Pillow's hsv2rgb, types included.
void to_rgb(int h, int s, int v, std::uint8_t& r, std::uint8_t& g,
            std::uint8_t& b) {
  const double sixth = static_cast<float>(h) * 6.0 / 255.0;
  const int sector = static_cast<int>(sixth);  // 0..6
  const float f = static_cast<float>(sixth - static_cast<float>(sector));
  const float fs = static_cast<float>(static_cast<float>(s) / 255.0);
  const double value = static_cast<float>(v);
  const int p = static_cast<int>(value * (1.0 - fs) + 0.5);
  const int q = static_cast<int>(value * (1.0 - fs * f) + 0.5);
  const int t = static_cast<int>(value * (1.0 - fs * (1.0 - f)) + 0.5);
  const int k = sector == 6 ? 0 : sector;
  const int red = k == 0 || k == 5 ? v : k == 1 ? q : k == 4 ? t : p;
  const int green = k == 1 || k == 2 ? v : k == 3 ? q : k == 0 ? t : p;
  const int blue = k == 3 || k == 4 ? v : k == 5 ? q : k == 2 ? t : p;
  r = static_cast<std::uint8_t>(red);
  g = static_cast<std::uint8_t>(green);
  b = static_cast<std::uint8_t>(blue);
}

}  // namespace

void adjust_brightness(std::uint8_t* rgb, std::size_t n, double factor) {
  blend_with(rgb, n, 0, static_cast<float>(factor));
}

void adjust_contrast(std::uint8_t* rgb, std::size_t n, double factor) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    sum += static_cast<std::uint64_t>(
        luma(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]));
  const double mean = static_cast<double>(sum) / static_cast<double>(n);
  blend_with(rgb, n, static_cast<int>(mean + 0.5), static_cast<float>(factor));
}

void adjust_saturation(std::uint8_t* rgb, std::size_t n, double factor) {
  const float f = static_cast<float>(factor);
  for_blocks(rgb, n, [f](Planes& p) {
    for (std::size_t i = 0; i < kBlock; ++i) {
      const int grey = luma(p.r[i], p.g[i], p.b[i]);
      p.r[i] = blend(grey, p.r[i], f);
      p.g[i] = blend(grey, p.g[i], f);
      p.b[i] = blend(grey, p.b[i], f);
    }
  });
}

void adjust_hue(std::uint8_t* rgb, std::size_t n, double factor) {
  const int shift = static_cast<int>(factor * 255);
  for_blocks(rgb, n, [shift](Planes& p) {
    for (std::size_t i = 0; i < kBlock; ++i) {
      int h, s, v;
      to_hsv(p.r[i], p.g[i], p.b[i], h, s, v);
      to_rgb((h + shift) & 255, s, v, p.r[i], p.g[i], p.b[i]);
    }
  });
}

void to_grayscale(std::uint8_t* rgb, std::size_t n) {
  for_blocks(rgb, n, [](Planes& p) {
    for (std::size_t i = 0; i < kBlock; ++i)
      p.r[i] = p.g[i] = p.b[i] =
          static_cast<std::uint8_t>(luma(p.r[i], p.g[i], p.b[i]));
  });
}

void solarize(std::uint8_t* rgb, std::size_t n) {
  for (std::size_t i = 0; i < 3 * n; ++i)
    rgb[i] = rgb[i] < 128 ? rgb[i] : static_cast<std::uint8_t>(255 - rgb[i]);
}

}  // namespace music::data
