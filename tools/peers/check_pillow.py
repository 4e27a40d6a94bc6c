#!/usr/bin/env python3
"""Compares every operation of exact mode with Pillow and torchvision, on photographs.

    check_pillow.py BUILD_DIR PHOTOS [--rounds 1] [--seed 0]

For each JPEG file in PHOTOS, random parameters are drawn by torchvision, and the
bytes of build/.../apply_operations are compared with what Pillow and torchvision
make of the same pixels. Prints, for each operation, how many cases and bytes were
compared and how many bytes differ; then how far fast mode is from exact mode for
the same parameters. Exits 1 unless no byte of exact mode differs and fast mode
stays within a mean of 1 of 255.

Decoding is compared first and operations then start from our pixels: Pillow's
wheels bring a libjpeg-turbo of their own. Needs Pillow 10.2 or later; the resize
is that of the installed release (augment.pillow, docs/numerics.md).
"""
import argparse
import collections
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import PIL
import torch
import torchvision
import torchvision.transforms as T
import torchvision.transforms.functional as F
from PIL import Image, ImageEnhance, ImageFilter, ImageOps, features
from torchvision.transforms import InterpolationMode

from torchvision_view import draw_crop, draw_jitter, make_view


class Operations:
    """Our side: a running apply_operations."""

    def __init__(self, build):
        self.process = subprocess.Popen([os.path.join(build, 'apply_operations')],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, *words):
        self.process.stdin.write((' '.join(map(str, words)) + '\n').encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline().split()
        if len(line) != 2:
            sys.exit(f'apply_operations failed on {words}')
        width, height = map(int, line)
        data = self.process.stdout.read(3 * width * height)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


class Tally:
    def __init__(self):
        self.cases, self.bytes, self.differ, self.worst = 0, 0, 0, 0
        self.absolute, self.signed = 0.0, 0.0

    def add(self, ours, theirs):
        theirs = np.asarray(theirs)
        if ours.shape != theirs.shape:
            sys.exit(f'shape {ours.shape}, the peer has {theirs.shape}')
        d = ours.astype(np.int16) - theirs
        self.cases += 1
        self.bytes += d.size
        self.differ += int(np.count_nonzero(d))
        self.worst = max(self.worst, int(np.abs(d).max()))
        self.absolute += float(np.abs(d).sum())
        self.signed += float(d.sum())


def uniform(low, high):
    return float(torch.empty(1).uniform_(low, high))


def compare_operations(ours, image, tally):
    """One draw of every single operation on an image."""
    filter_name = ['bilinear', 'bicubic'][int(torch.randint(2, ()))]
    mode = InterpolationMode(filter_name)
    width, height = image.size
    x, y, w, h = draw_crop(image)
    flip = int(torch.randint(2, ()))
    size = [32, 96, 224][int(torch.randint(3, ()))]
    out = F.resized_crop(image, y, x, h, w, [size, size], mode)
    tally['crop, resize, flip, ' + filter_name].add(
        ours('resize', x, y, w, h, size, size, filter_name, flip),
        F.hflip(out) if flip else out)
    tally['part of a JPEG'].add(ours('part', x, y, w, h),
                                np.asarray(image)[y:y + h, x:x + w])
    for name, enhance, low, high in [
            ('brightness', ImageEnhance.Brightness, 0.2, 1.8),
            ('contrast', ImageEnhance.Contrast, 0.2, 1.8),
            ('saturation', ImageEnhance.Color, 0.2, 1.8)]:
        f = uniform(low, high)
        tally[name].add(ours(name, repr(f)), enhance(image).enhance(f))
    f = uniform(-0.5, 0.5)
    tally['hue'].add(ours('hue', repr(f)), F.adjust_hue(image, f))
    tally['grayscale'].add(ours('grayscale', 0),
                           F.to_grayscale(image, num_output_channels=3))
    tally['solarize'].add(ours('solarize', 0), ImageOps.solarize(image))
    sigma = uniform(0.1, 2.0)
    tally['blur'].add(ours('blur', repr(sigma)),
                      image.filter(ImageFilter.GaussianBlur(radius=sigma)))
    if min(width, height) >= 64:
        out = T.CenterCrop(224)(T.Resize(256, mode)(image))
        tally['evaluation'].add(ours('eval', 256, 224, filter_name), out)


def compare_views(ours, image, tally, fast):
    """Both whole views, as torchvision draws them."""
    for view in range(2):
        crop = draw_crop(image)
        flip = int(torch.randint(2, ()))
        order, factors = draw_jitter()
        gray = int(uniform(0, 1) < 0.2)
        sigma = uniform(0.1, 2.0) if view == 0 or uniform(0, 1) < 0.1 else 0.0
        solar = int(view == 1 and uniform(0, 1) < 0.2)
        out = make_view(image, crop, 224, InterpolationMode.BICUBIC, flip, order,
                        factors, gray, sigma, solar)
        words = (224, 'bicubic', *crop, flip, *order, *map(repr, factors), gray,
                 repr(sigma), solar)
        exact = ours('view', 'exact', *words)
        tally[f'whole view {view + 1}'].add(exact, out)
        fast[f'whole view {view + 1}'].add(ours('view', 'fast', *words), exact)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('build')
    parser.add_argument('photos')
    parser.add_argument('--rounds', type=int, default=1, help='draws a photograph')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    files = sorted(p for p in pathlib.Path(options.photos).rglob('*')
                   if p.suffix.lower() in ('.jpg', '.jpeg'))
    if not files:
        sys.exit(f'{options.photos}: no .jpg or .jpeg file')
    ours = Operations(options.build)
    ours('pillow', 12 if int(PIL.__version__.split('.')[0]) < 13 else 13)
    decoded = Tally()
    tally, fast = (collections.defaultdict(Tally) for _ in range(2))
    for path in files:
        pixels = ours('image', path.resolve())
        decoded.add(pixels, Image.open(path).convert('RGB'))
        image = Image.fromarray(pixels)
        for _ in range(options.rounds):
            compare_operations(ours, image, tally)
            compare_views(ours, image, tally, fast)
    print(f'{len(files)} photographs, torchvision {torchvision.__version__}, Pillow '
          f'{PIL.__version__} (libjpeg-turbo {features.version("libjpeg_turbo")})')
    tally = {'decoding': decoded, **tally}
    for name, t in tally.items():
        print(f'{name:<32} {t.cases:5} cases {t.bytes:12} bytes {t.differ:8} differ'
              + (f', by at most {t.worst}' if t.differ else ''))
    for name, t in fast.items():
        print(f'fast mode, {name:<21} {t.cases:5} cases: mean |difference| '
              f'{t.absolute / t.bytes:.3f}, mean {t.signed / t.bytes:+.4f}')
    failed = any(t.differ for t in tally.values()) or any(
        t.absolute > t.bytes or math.isnan(t.absolute) for t in fast.values())
    print('FAILED' if failed else 'ok')
    sys.exit(failed)


main()
