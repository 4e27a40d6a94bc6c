"""music_shard's output in other readers: Python's tarfile, webdataset, and DALI's
WebDataset reader with and without the index.

check_shards.py BUILD: Python needs webdataset (1.0.2), DALI (nvidia-dali-cuda130
2.4.0, on the CPU) and Pillow; BUILD has music_shard and list_images. Packs small
images under short and long names, with and without classes, and compares the images
and labels that each reader gives with ours. Exit status 1: they differ, or a header
is no plain ustar one.
"""
import importlib.metadata
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import nvidia.dali
import nvidia.dali.fn as fn
import PIL.Image
import webdataset

IMAGES = {
    'short names in classes': [f'{c}/{i}.jpg' for c in 'ab' for i in range(4)],
    'no classes': [f'{i}.jpg' for i in range(8)],
    'long names in classes': [f'{c * 60}/{"n" * 120}{i}.jpg' for c in 'ab' for i in range(4)],
    'long names without classes': ['n' * 180 + f'{i}.jpg' for i in range(8)],
    'long classes': [f'{c * 200}/{i}.jpg' for c in 'ab' for i in range(4)],
    'names of other scripts': [f'{c * 40}/{"猫" * 60}{i}.jpg' for c in 'éж' for i in range(4)],
    'dots, spaces and capitals': [f'Great Auk v1.{c}/My cat. {i}.JPG' for c in 'ab' for i in range(4)],
    'one name in many folders': [f'{c}/{d}/{"x" * 110}.jpg' for c in 'ab' for d in 'wxyz'],
}


def ours(build, folder):
    run = subprocess.run([build / 'list_images', folder], capture_output=True, check=True)
    rows = [line.split(b'\t') for line in run.stdout.split(b'\n')[:-1]]
    return [(bytes.fromhex(r[3].decode()), int(r[1])) for r in rows]


def plain_tar(shards):
    found = {}
    for shard in shards:
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.pax_headers:
                    raise AssertionError(f'{member.name}: a pax header')
                key, _, suffix = member.name.rpartition('.')
                found.setdefault(key, {})[suffix] = tar.extractfile(member).read()
        header = shard.read_bytes()
        at = 0
        while any(header[at:at + 512]):
            if header[at + 156:at + 157] != b'0' or header[at + 257:at + 265] != b'ustar\00000':
                raise AssertionError(f'{shard.name}: a header at {at} of type {header[at + 156:at + 157]}')
            at += 512 + (int(header[at + 124:at + 135], 8) + 511) // 512 * 512
    return [(s['jpg'], int(s.get('cls', -1))) for s in found.values()]


def by_webdataset(shards):
    samples = webdataset.WebDataset([str(s) for s in shards], shardshuffle=False)
    return [(s['jpg'], int(s.get('cls', -1))) for s in samples]


def by_dali(shards, indices):
    @nvidia.dali.pipeline_def(batch_size=4, num_threads=1, device_id=None)
    def pipeline():
        return tuple(fn.readers.webdataset(paths=[str(s) for s in shards], index_paths=[str(i) for i in indices],
                                     ext=['jpg', 'cls'], missing_component_behavior='empty', name='r'))
    pipe = pipeline()
    pipe.build()
    size, found = pipe.epoch_size('r'), []
    while len(found) < size:
        images, labels = pipe.run()
        for i in range(len(images)):
            label = bytes(labels.at(i))
            found.append((bytes(images.at(i)), int(label) if label else -1))
    return found[:size]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    failures = 0
    with tempfile.TemporaryDirectory() as work:
        for number, (case, names) in enumerate(IMAGES.items()):
            images, out = pathlib.Path(work) / f'in{number}', pathlib.Path(work) / f'out{number}'
            for i, name in enumerate(names):
                (images / name).parent.mkdir(parents=True, exist_ok=True)
                file = io.BytesIO()
                PIL.Image.new('RGB', (16 + i, 16), (20 * i, 9, 99)).save(file, 'JPEG')
                (images / name).write_bytes(file.getvalue())
            subprocess.run([build / 'music_shard', '--data', images, '--out', out], check=True, capture_output=True)
            shards, indices = sorted(out.glob('*.tar')), sorted(out.glob('*.idx'))
            expected = ours(build, out)
            for reader, read in [('tarfile', lambda: plain_tar(shards)), ('webdataset', lambda: by_webdataset(shards)),
                                 ('DALI with the index', lambda: by_dali(shards, indices)),
                                 ('DALI without', lambda: by_dali(shards, []))]:
                found = read()
                good = found == expected and len(found) == len(names)
                failures += not good
                print(f"{'ok    ' if good else 'FAILED'} {case}: {reader}, {len(found)} of {len(names)} samples")
    print(f"webdataset {importlib.metadata.version('webdataset')}, DALI {nvidia.dali.__version__}: {failures} failed")
    sys.exit(failures > 0)


main()
