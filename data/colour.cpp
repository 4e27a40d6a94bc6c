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

// A block in Pillow's 8-bit HSV. The loops have no branches, so that they
// become vector code; the float and double types are Pillow's and matter.
struct Hsv {
  int h[kBlock], s[kBlock], v[kBlock];

  // rgb2hsv: where red, green or blue is the largest, the hue in sixths of a
  // turn is 0, 2 or 4 plus a difference of the two others.
  void from(const Planes& p) {
    float share[kBlock], base[kBlock], plus[kBlock], minus[kBlock];
    for (std::size_t i = 0; i < kBlock; ++i) {
      const int r = p.r[i], g = p.g[i], b = p.b[i];
      const int most = std::max(r, std::max(g, b));
      const int range = most - std::min(r, std::min(g, b));
      const int other = g == most ? 2 : 4;
      const int first = g == most ? r : g, second = g == most ? b : r;
      const float span = static_cast<float>(std::max(range, 1));
      v[i] = most;
      share[i] = static_cast<float>(range) /
                 static_cast<float>(std::max(most, 1));
      base[i] = static_cast<float>(r == most ? 0 : other);
      plus[i] = static_cast<float>(most - (r == most ? b : first)) / span;
      minus[i] = static_cast<float>(most - (r == most ? g : second)) / span;
    }
    for (std::size_t i = 0; i < kBlock; ++i) {
      const float sixths = static_cast<float>(
          static_cast<double>(base[i]) + plus[i] - minus[i]);
      const double turn = sixths / 6.0 + 1.0;  // in [5/6, 2)
      const float hue = static_cast<float>(turn - (turn >= 1.0 ? 1.0 : 0.0));
      h[i] = static_cast<int>(hue * 255.0);
      s[i] = static_cast<int>(share[i] * 255.0);
    }
  }

  // hsv2rgb: of the three channels one is v, one the lowest, and one between,
  // falling in odd sectors of the hue and rising in even ones.
  void to(Planes& p) const {
    int sector[kBlock], low[kBlock], mid[kBlock];
    for (std::size_t i = 0; i < kBlock; ++i) {
      const int k = h[i] * 6 / 255;  // 0..6, 6 as 0
      const float f = static_cast<float>(h[i] * 6 - k * 255) / 255.0f;
      const float fs = static_cast<float>(s[i]) / 255.0f;
      const float fall = fs * f;
      const double rise = fs * (1.0 - f);
      const double odd = k & 1;
      const double away = odd * fall + (1.0 - odd) * rise;
      sector[i] = k;
      low[i] = static_cast<int>(v[i] * (1.0 - fs) + 0.5);
      mid[i] = static_cast<int>(v[i] * (1.0 - away) + 0.5);
    }
    // Where each channel lies: sets of sectors.
    const auto channel = [&](int top, int middle, std::uint8_t* out) {
      for (std::size_t i = 0; i < kBlock; ++i)
        out[i] = static_cast<std::uint8_t>(
            (top >> sector[i]) & 1      ? v[i]
            : (middle >> sector[i]) & 1 ? mid[i]
                                        : low[i]);
    };
    channel(0b1100001, 0b0010010, p.r);
    channel(0b0000110, 0b1001001, p.g);
    channel(0b0011000, 0b0100100, p.b);
  }
};

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
  Hsv hsv;
  for_blocks(rgb, n, [shift, &hsv](Planes& p) {
    hsv.from(p);
    for (int& h : hsv.h) h = (h + shift) & 255;
    hsv.to(p);
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
