#!/usr/bin/env bash
# NVIDIA DALI 2.4.0 (nvidia-dali-cuda130, PyPI), on the CPU, with Python 3.11 or
# later.
# Seen 2026-11-28: without an index, readers.webdataset takes members that have a
# pax header for one nameless sample without images, and does not say so. Python's
# tarfile writes such headers, in its default format, for names of more than 100
# characters. Four samples, each name.jpg and name.cls:
#   ustar and GNU archives: 4 samples of 10, 12, 14, 16 bytes
#   pax archive:            1 sample of 0 bytes
# Way out: write ustar or GNU headers, or give the index of wds2idx; music_shard
# writes ustar only, in names that fit.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || {
  echo "no Python 3.11 here"
  exit 77
}
"$python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --target "$work/packages" nvidia-dali-cuda130==2.4.0 numpy==2.4.6 optree dm-tree \
  gast astunparse six wheel makefun packaging typing_extensions wrapt attrs absl-py nvtx \
  > "$work/log" 2>&1 || {
  echo "nvidia-dali-cuda130 2.4.0 is not to be had here: $(tail -1 "$work/log")"
  exit 77
}
cd "$work"
PYTHONPATH=$work/packages "$python" - << 'P'
import io
import sys
import tarfile

import nvidia.dali
from nvidia.dali import fn, pipeline_def


def samples(format):
    with tarfile.open('a.tar', 'w', format=format) as tar:
        for number in range(8):
            name = 'd' * 60 + '/' + 'n' * 60 + f"{number // 2}.{('jpg', 'cls')[number % 2]}"
            member = tarfile.TarInfo(name)
            member.size = 10 + number
            tar.addfile(member, io.BytesIO(b'x' * member.size))

    @pipeline_def(batch_size=4, num_threads=1, device_id=None)
    def pipeline():
        return tuple(fn.readers.webdataset(paths=['a.tar'], ext=['jpg', 'cls'], name='r',
                                           missing_component_behavior='empty'))

    pipe = pipeline()
    pipe.build()
    count = pipe.epoch_size('r')
    images, _ = pipe.run()
    return count, [len(images.at(i)) for i in range(count)]


found = {name: samples(format) for name, format in
         [('ustar', tarfile.USTAR_FORMAT), ('gnu', tarfile.GNU_FORMAT), ('pax', tarfile.PAX_FORMAT)]}
print('DALI', nvidia.dali.__version__, found)
whole = (4, [10, 12, 14, 16])
if found != {'ustar': whole, 'gnu': whole, 'pax': (1, [0])}:
    sys.exit(1)
P
echo "as described"
