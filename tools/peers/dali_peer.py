"""The two views by DALI's CPU operators, one thread.

dali_peer.py DATA SIZE SECONDS: DATA is a folder of JPEG files. Decoded once,
then both stacks; DALI's colour operation has no random order, and its blur is a
truncated Gaussian. Prints the milliseconds of CPU time an image takes, and who
took them.
"""
import pathlib
import sys
import time

import nvidia.dali as dali
from nvidia.dali import fn, pipeline_def, types

BATCH = 16


def coin(p):
    return fn.random.coin_flip(probability=p, dtype=types.BOOL)


def uniform(low, high):
    return fn.random.uniform(range=(low, high))


def view(image, size, blur, solarize):
    x = fn.random_resized_crop(
        image, size=(size, size), random_area=(0.08, 1.0),
        random_aspect_ratio=(3 / 4, 4 / 3), interp_type=types.INTERP_CUBIC, antialias=True)
    x = fn.flip(x, horizontal=fn.random.coin_flip(probability=0.5))
    if coin(0.8):
        x = fn.color_twist(x, brightness=uniform(0.6, 1.4), contrast=uniform(0.6, 1.4),
                           saturation=uniform(0.8, 1.2), hue=uniform(-36.0, 36.0))
    if coin(0.2):
        x = fn.saturation(x, saturation=0.0)
    if coin(blur):
        x = fn.gaussian_blur(x, sigma=uniform(0.1, 2.0))
    if coin(solarize):
        x = dali.math.min(x, 255 - x)
        x = fn.cast(x, dtype=types.UINT8)
    return x


@pipeline_def(enable_conditionals=True)
def pipeline(files, size):
    raw, _ = fn.readers.file(files=files)
    image = fn.decoders.image(raw, device="cpu", output_type=types.RGB)
    return view(image, size, 1.0, 0.0), view(image, size, 0.1, 0.2)


def main():
    size, seconds = int(sys.argv[2]), float(sys.argv[3])
    files = sorted(str(p) for p in pathlib.Path(sys.argv[1]).rglob("*")
                   if p.suffix.lower() in (".jpg", ".jpeg"))
    pipe = pipeline(files, size, batch_size=BATCH, num_threads=1, device_id=None,
                    prefetch_queue_depth=1)
    pipe.build()
    pipe.run()
    count, begin = 0, time.process_time()
    while count < len(files) or time.process_time() - begin < seconds:
        pipe.run()
        count += BATCH
    print(1e3 * (time.process_time() - begin) / count, f"DALI {dali.__version__}")


main()
