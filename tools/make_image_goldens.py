#!/usr/bin/env python3
"""Writes tests/golden/images.{txt,bin}: what Pillow and torchvision make of
small images, for the tests of data/. Needs Pillow 12.3 (libwebp 1.6), torchvision
and numpy. With Pillow 13 it writes images13.{txt,bin}: what that resizes otherwise.

images.txt has one case a line: its kind, its parameters, and last the offset
and the size of its bytes in images.bin (for "all": a CRC-32 instead).
"""
import io
import pathlib
import struct
import sys
import zlib

import numpy as np
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
import PIL
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torchvision.transforms import InterpolationMode

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
from torchvision_view import draw_crop, draw_jitter, make_view  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
NEWER = int(PIL.__version__.split(".")[0]) >= 13
rng = np.random.default_rng(7)
blob = bytearray()
lines = []


def case(kind, *parameters, data):
    lines.append(" ".join(map(str, (kind, *parameters, len(blob), len(data)))))
    blob.extend(data)


def photo(width, height):
    """Smooth colours, hard edges and a little noise."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    waves = [np.sin(x / 9 + c) * np.cos(y / 7 - 2 * c) * 110 + 128 for c in range(3)]
    out = np.stack(waves, -1) + rng.normal(0, 9, (height, width, 3))
    out[height // 4 : height // 2, width // 3 : width // 2] = (250, 20, 60)
    out[height // 2 :, : width // 5] = (3, 3, 3)
    return Image.fromarray(out.clip(0, 255).astype(np.uint8))


IMAGES = {
    "photo": photo(67, 45),
    "noise": Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)),
    "tiny": Image.fromarray(rng.integers(0, 256, (5, 3, 3), dtype=np.uint8)),
    "tall": photo(41, 107),
}


def resizes():
    for name, box, size in [
        ("photo", (0, 0, 67, 45), (32, 32)), ("photo", (11, 5, 20, 13), (40, 40)),
        ("photo", (3, 2, 61, 40), (7, 9)), ("photo", (8, 4, 32, 17), (32, 32)),
        ("photo", (8, 4, 17, 32), (32, 32)), ("photo", (1, 1, 40, 40), (40, 40)),
        ("noise", (0, 0, 28, 28), (27, 29)), ("noise", (4, 9, 21, 18), (28, 28)),
        ("tiny", (0, 0, 3, 5), (24, 24)), ("tiny", (1, 1, 1, 3), (8, 8)),
        ("photo", (0, 0, 67, 45), (1, 1)),
        # Tall: Pillow 13 filters the columns of the first three first.
        ("photo", (40, 0, 20, 45), (12, 20)), ("photo", (9, 2, 16, 43), (24, 24)),
        ("photo", (30, 1, 30, 44), (20, 23)), ("photo", (30, 1, 30, 44), (20, 24)),
        ("noise", (3, 0, 13, 28), (13, 5)),
    ]:
        x, y, w, h = box
        crop = IMAGES[name].crop((x, y, x + w, y + h))
        for filter_name, code in FILTERS.items():
            case("resize", name, *box, *size, filter_name,
                 data=crop.resize(size, code).tobytes())


def colours(image):
    for f in (0.0, 0.6, 0.83712, 1.3873, 2.5):
        yield "brightness", f, ImageEnhance.Brightness(image).enhance(f)
        yield "contrast", f, ImageEnhance.Contrast(image).enhance(f)
        yield "saturation", f, ImageEnhance.Color(image).enhance(f)
    for f in (-0.5, -0.1, -0.0371, 0.0666, 0.5):
        yield "hue", f, F.adjust_hue(image, f)
    yield "grayscale", 0, F.to_grayscale(image, num_output_channels=3)
    yield "solarize", 0, ImageOps.solarize(image)


def every_colour():
    """All 2^24 colours, r fastest; the result as a CRC-32."""
    n = np.arange(1 << 24, dtype=np.uint32)
    pixels = np.stack([n & 255, n >> 8 & 255, n >> 16], -1).astype(np.uint8)
    image = Image.fromarray(pixels.reshape(4096, 4096, 3))
    for op, f, out in [
        ("grayscale", 0, F.to_grayscale(image, num_output_channels=3)),
        ("saturation", 1.17, ImageEnhance.Color(image).enhance(1.17)),
        ("saturation", 0.61, ImageEnhance.Color(image).enhance(0.61)),
        ("hue", 0.0, F.adjust_hue(image, 0.0)),
        ("hue", 0.0731, F.adjust_hue(image, 0.0731)),
        ("hue", -0.1, F.adjust_hue(image, -0.1)),
    ]:
        lines.append(f"all {op} {f} {zlib.crc32(out.tobytes())} 0")


def codecs():
    photo_ = IMAGES["photo"]
    for name, image, how in [
        ("420", photo_, dict(format="JPEG", quality=75)),
        ("444", photo_, dict(format="JPEG", quality=95, subsampling=0)),
        ("422", photo_, dict(format="JPEG", quality=85, subsampling=1)),
        ("420_restarts", photo_,
         dict(format="JPEG", quality=70, restart_marker_blocks=3)),
        ("444_restarts", photo_, dict(format="JPEG", quality=98, subsampling=0,
                                      restart_marker_rows=1, optimize=True)),
        ("narrow", photo_.crop((0, 0, 4, 45)), dict(format="JPEG", quality=75)),
        ("rgb_jpeg", photo_, dict(format="JPEG", quality=90, keep_rgb=True)),
        ("422_progressive", photo_,
         dict(format="JPEG", quality=60, subsampling=1, progressive=True)),
        ("gray", photo_.convert("L"), dict(format="JPEG", quality=80)),
        ("cmyk", photo_.convert("CMYK"), dict(format="JPEG", quality=90)),
        ("rgb", photo_, dict(format="PNG")),
        ("palette", photo_.quantize(37), dict(format="PNG")),
        ("alpha", photo_.convert("RGBA"), dict(format="PNG")),
        ("one_bit", photo_.convert("1"), dict(format="PNG")),
    ]:
        if name == "alpha":
            image.putalpha(photo_.convert("L"))
        coded(name, image, **how)
    clear = photo_.convert("RGBA")
    clear.putalpha(photo_.convert("L").point(lambda v: v * (v > 90)))
    small = photo_.crop((20, 9, 50, 36))
    moved = Image.new("RGBA", photo_.size)
    moved.paste(small, (14, 8))
    for name, image, how in [
        ("lossy", photo_, dict(quality=60)),
        ("coarse", photo_.rotate(90), dict(quality=0)),
        ("fine", photo_, dict(quality=100)),
        ("lossless", photo_, dict(lossless=True)),
        ("lossless_palette", photo_.quantize(5).convert("RGB"), dict(lossless=True)),
        ("lossy_alpha", clear, dict(quality=50)),
        ("lossless_alpha", clear, dict(lossless=True, exact=True)),
        ("one_pixel", photo_.crop((5, 5, 6, 6)), dict(quality=80)),
        ("profile", photo_, dict(quality=30, icc_profile=b"x" * 90, exif=SIDEWAYS)),
        ("animated", photo_, dict(save_all=True, append_images=[photo_.rotate(90)],
                                  quality=40)),
        ("animated_part", moved, dict(save_all=True, append_images=[clear],
                                      lossless=True, minimize_size=True,
                                      background=(255, 0, 0, 255))),
    ]:
        coded("webp_" + name, image, format="WEBP", **how)


# EXIF with an orientation of 6.
SIDEWAYS = (b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
            b"\0\x06\0\0\0\0\0\0")


def coded(name, image, **how):
    file = io.BytesIO()
    image.save(file, **how)
    case("file", name, data=file.getvalue())
    case("decoded", name, *image.size,
         data=Image.open(file).convert("RGB").tobytes())


def sixteen_bits():
    """PNG of 16 bits: of each the upper 8, which Pillow does of all but grey."""
    deep = rng.integers(0, 1 << 16, (9, 11, 4), dtype=np.uint16)
    for name, kind, planes in [("gray", 0, 1), ("gray_alpha", 4, 2), ("rgb", 2, 3),
                               ("rgb_alpha", 6, 4)]:
        values = deep[:, :, :planes]
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        data = b"\x89PNG\r\n\x1a\n"
        for chunk, body in [(b"IHDR", struct.pack(">IIBBBBB", 11, 9, 16, kind, 0, 0, 0)),
                            (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]:
            data += (struct.pack(">I", len(body)) + chunk + body
                     + struct.pack(">I", zlib.crc32(chunk + body)))
        case("file", "png16_" + name, data=data)
        upper = (values >> 8).astype(np.uint8)[:, :, [0] * 3 if planes < 3 else [0, 1, 2]]
        if name != "gray":
            same = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            assert (same == upper).all(), name
        case("decoded", "png16_" + name, 11, 9, data=upper.tobytes())


def views():
    """Parameters as torchvision draws them, applied one by one."""
    for i, (image, filter_name, flip, gray, sigma, solar) in enumerate([
        ("photo", "bicubic", 1, 0, 0.71, 0), ("photo", "bilinear", 0, 0, 0, 1),
        ("photo", "bicubic", 0, 1, 1.9, 1), ("noise", "bilinear", 1, 0, 0, 0),
        ("tall", "bicubic", 1, 0, 0.9, 0), ("tall", "bilinear", 0, 0, 0, 0),
    ]):
        torch.manual_seed(i + 4 if image == "tall" else i)
        crop = draw_crop(IMAGES[image])
        order, factors = draw_jitter()
        out = make_view(IMAGES[image], crop, 32, InterpolationMode(filter_name), flip,
                        order, factors, gray, sigma, solar)
        case("view", image, filter_name, *crop, flip, *order,
             *map(repr, factors), gray, sigma, solar, data=out.tobytes())


def evaluation():
    for image, resize, size, filter_name in [
        ("photo", 36, 32, "bicubic"), ("photo", 24, 15, "bilinear"),
        ("photo", 45, 20, "bicubic"), ("noise", 28, 28, "bicubic"),
        ("tiny", 9, 8, "bilinear"), ("tall", 20, 16, "bicubic"),
        ("tall", 24, 24, "bilinear"),
    ]:
        transform = T.Compose([
            T.Resize(resize, InterpolationMode(filter_name)), T.CenterCrop(size)])
        case("eval", image, resize, size, filter_name,
             data=transform(IMAGES[image]).tobytes())


def write(name):
    (GOLDEN / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (GOLDEN / f"{name}.bin").write_bytes(blob)
    print(len(lines), "cases,", len(blob), "bytes")


for name, image in IMAGES.items():
    case("image", name, *image.size, data=image.tobytes())
resizes()
if NEWER:
    views()
    evaluation()
    write("images13")
    sys.exit()
for op, f, out in colours(IMAGES["noise"]):
    case("colour", "noise", op, f, data=out.tobytes())
for sigma in (0.1, 0.5, 1.3721, 2.0, 5.0):
    for name in ("photo", "tiny"):
        out = IMAGES[name].filter(ImageFilter.GaussianBlur(radius=sigma))
        case("blur", name, sigma, data=out.tobytes())
every_colour()
codecs()
sixteen_bits()
views()
evaluation()
write("images")
