"""What music_train draws, by numpy: engine/core/rng.h, data/sampler.cpp and
data/view_parameters.cpp over again.

A draw is a function of (seed, purpose, a, b, c) and its number alone, so all
samples of a batch are drawn at once. With --augment.mode exact, make_views gives
the bytes of a batch of ours.
"""
import numpy as np

import torchvision_view

SHUFFLE, AUGMENT = 2, 3  # purposes
CROP, FLIP, JITTER, GRAYSCALE, BLUR, SOLARIZE = range(6)  # streams of a view
SUBSET = 0xFFFFFFFF  # the epoch that data.limit draws its images by
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def key(seed, purpose):
    mask = (1 << 64) - 1
    z = (seed + 0x9E3779B97F4A7C15 * (purpose + 1)) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return z & 0xFFFFFFFF, z >> 32


def philox(c, k):
    """Philox4x32-10 of a counter of four arrays: four arrays of uint64 < 2^32."""
    c = [np.asarray(x, np.uint64) for x in c]
    k = list(k)
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(q >> HALF) ^ c[1] ^ np.uint64(k[0]), q & LOW,
             (p >> HALF) ^ c[3] ^ np.uint64(k[1]), p & LOW]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


class Draws:
    """The streams (a, b, c) for all b: each draw is an array like b."""

    def __init__(self, seed, purpose, a, b, c, most):
        b = np.asarray(b, np.uint64)[:, None]
        words = philox([np.arange((most + 3) // 4), a, b, c], key(seed, purpose))
        self.words = np.stack(words, 2).reshape(len(b), -1)
        self.at = 0

    def next(self):
        self.at += 1
        return self.words[:, self.at - 1]

    def uniform(self, low=0.0, high=1.0):
        first, second = self.next(), self.next()
        unit = ((first << np.uint64(21)) ^ (second >> np.uint64(11))).astype(
            np.float64) * 2.0**-53
        return low + (high - low) * unit

    def below(self, n):
        """Whole numbers below n, an array or a number."""
        first, second = self.next(), self.next()
        n = np.asarray(n, np.uint64)  # (first 2^32 + second) n / 2^64
        return ((first * n + ((second * n) >> HALF)) >> HALF).astype(np.int64)


def permutation(n, seed, epoch):
    draws = Draws(seed, SHUFFLE, epoch, [0], 0, 2 * n)
    words = draws.words[0]
    bound = np.arange(n, 1, -1, dtype=np.uint64)
    first, second = words[0:2 * n - 2:2], words[1:2 * n - 2:2]
    picks = ((first * bound + ((second * bound) >> HALF)) >> HALF).tolist()
    order = list(range(n))
    for i, pick in zip(range(n, 1, -1), picks):
        order[i - 1], order[pick] = order[pick], order[i - 1]
    return np.array(order)


def chosen(n, limit, seed):
    """The images of data.limit."""
    if not 0 < limit < n:
        return np.arange(n)
    return np.sort(permutation(n, seed, SUBSET)[:limit])


def draw_crops(spec, draws, width, height):
    """x, y, width, height of each; after ten failures the largest in the middle."""
    n = len(draws.words)
    low, high = np.log(spec['ratio'][0]), np.log(spec['ratio'][1])
    w, h = np.full(n, width), np.full(n, height)
    aspect = width / height
    if aspect < spec['ratio'][0]:
        h[:] = min(round(width / spec['ratio'][0]), height)
    elif aspect > spec['ratio'][1]:
        w[:] = min(round(height * spec['ratio'][1]), width)
    x, y = (width - w) // 2, (height - h) // 2
    # A failed attempt draws twice, one that succeeds four times and is the last.
    found = np.zeros(n, bool)
    for attempt in range(10):
        draws.at = 4 * attempt
        target = width * height * draws.uniform(*spec['scale'])
        aspect = np.exp(draws.uniform(low, high))
        tried_w = np.rint(np.sqrt(target * aspect)).astype(np.int64)
        tried_h = np.rint(np.sqrt(target / aspect)).astype(np.int64)
        fits = (~found & (tried_w >= 1) & (tried_w <= width) & (tried_h >= 1) &
                (tried_h <= height))
        tried_y = draws.below(np.where(fits, height - tried_h + 1, 1))
        tried_x = draws.below(np.where(fits, width - tried_w + 1, 1))
        for kept, tried in ((w, tried_w), (h, tried_h), (x, tried_x), (y, tried_y)):
            kept[fits] = tried[fits]
        found |= fits
        if found.all():
            break
    return np.stack([x, y, w, h], 1)


def make_views(images, samples, spec, seed, epoch, view, mode):
    """uint8 [n, size, size, 3]: `view` (0 or 1) of these PIL images. samples: their
    numbers; spec: the section [augment]; mode: Pillow's filter."""
    def stream(op, most):
        return Draws(seed, AUGMENT, epoch, samples, view * 16 + op, most)
    crops = draw_crops(spec, stream(CROP, 44), *images[0].size)
    flips = stream(FLIP, 2).uniform() < spec['flip']
    draws = stream(JITTER, 16)
    jitters = draws.uniform() < spec['jitter']
    orders = np.tile(np.arange(4), (len(images), 1))
    rows = np.arange(len(images))
    for i in (4, 3, 2):
        pick = draws.below(i)
        last = orders[:, i - 1].copy()
        orders[:, i - 1] = orders[rows, pick]
        orders[rows, pick] = last
    factors = [draws.uniform(max(0.0, 1 - spec[name]), 1 + spec[name])
               for name in ('brightness', 'contrast', 'saturation')]
    factors.append(draws.uniform(-spec['hue'], spec['hue']))
    factors = np.stack(factors, 1)
    grays = stream(GRAYSCALE, 2).uniform() < spec['grayscale']
    draws = stream(BLUR, 4)
    blurs = draws.uniform() < spec['blur'][view]
    sigmas = np.where(blurs, draws.uniform(*spec['blur_sigma']), 0)
    solars = stream(SOLARIZE, 2).uniform() < spec['solarize'][view]
    out = []
    for i, image in enumerate(images):
        order = [op for op in orders[i] if op != 3 or spec['hue'] > 0]
        out.append(np.asarray(torchvision_view.make_view(
            image, crops[i].tolist(), spec['size'], mode, flips[i],
            order if jitters[i] else [], factors[i].tolist(), grays[i],
            float(sigmas[i]), solars[i])))
    return np.stack(out)
