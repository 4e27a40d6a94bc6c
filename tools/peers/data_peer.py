"""The two views in torchvision and Pillow, one thread.

data_peer.py DATA SIZE SECONDS: DATA is a folder of images or of CIFAR-10 binary
files. The stacks are those of tools/bench_data.cpp. Prints the milliseconds of
CPU time an image takes, and who took them.
"""
import pathlib
import sys
import time

import numpy as np
import PIL
import torch
import torchvision
import torchvision.transforms as T
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import InterpolationMode


class Blur:
    def __init__(self, p):
        self.p = p

    def __call__(self, image):
        if np.random.rand() >= self.p:
            return image
        return image.filter(ImageFilter.GaussianBlur(np.random.rand() * 1.9 + 0.1))


def stack(size, blur, solarize):
    small = size <= 32
    mode = InterpolationMode.BILINEAR if small else InterpolationMode.BICUBIC
    return T.Compose([
        T.RandomResizedCrop(size, (0.2 if small else 0.08, 1.0), interpolation=mode),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4 if small else 0.2, 0.1)], 0.8),
        T.RandomGrayscale(0.2), Blur(0 if small else blur),
        T.RandomApply([ImageOps.solarize], 0 if small else solarize),
        np.asarray,
    ])


def images(data):
    cifar = sorted(data.rglob("data_batch_1.bin"))
    if cifar:
        records = np.fromfile(cifar[0], np.uint8).reshape(-1, 3073)[:2048, 1:]
        pixels = records.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()
        return [lambda p=p: Image.fromarray(p) for p in pixels]
    files = sorted(p for p in data.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    return [lambda f=f: Image.open(f).convert("RGB") for f in files]


def main():
    torch.set_num_threads(1)
    size, seconds = int(sys.argv[2]), float(sys.argv[3])
    first, second = stack(size, 1.0, 0.0), stack(size, 0.1, 0.2)
    sources = images(pathlib.Path(sys.argv[1]))
    first(sources[0]())
    count, begin = 0, time.process_time()
    # Whole rounds: images differ in size.
    while count % len(sources) or time.process_time() - begin < seconds:
        image = sources[count % len(sources)]()
        first(image), second(image)
        count += 1
    print(1e3 * (time.process_time() - begin) / count,
          f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}")


main()
