#!/usr/bin/env bash
# Pillow 12.3.0 and 13.0.0 (PyPI), with Python 3.10 or later.
# Seen 2026-11-28: Image.resize gives other pixels from 13.0.0 on where the height
# loses more than twice as many pixels as the width, because it then filters columns
# before rows and rounds to 8 bits in between; the release notes do not say so. The
# sizes of the whole picture count, not those of box=. One of 60 x 160, noise, by
# the bicubic filter:
#   to 30 x 80   (height -80, width -30)         1541 of 7200 values differ, by up to 4
#   to 20 x 80   (height -80, width -40)         equal
#   its upper 60 x 80 cropped, to 30 x 30        equal (-50, -30)
#   the same by box= (-130, -30 of the whole)    569 of 2700 differ, by up to 2
# Way out: augment.pillow and --pillow choose whose bytes ours are.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null || {
  echo "no Python 3.10 here"
  exit 77
}
for version in 12.3.0 13.0.0; do
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --target "$work/$version" "pillow==$version" > "$work/log" 2>&1 || {
    echo "Pillow $version is not to be had here: $(tail -1 "$work/log")"
    exit 77
  }
  PYTHONPATH=$work/$version "$python" - "$work/$version.bin" << 'P'
import pickle
import sys

import PIL
from PIL import Image

state, noise = 1, bytearray()
for _ in range(60 * 160 * 3):
    state = (state * 1664525 + 1013904223) % 2**32
    noise.append(state >> 24)
picture = Image.frombytes('RGB', (60, 160), bytes(noise))
upper = (0, 0, 60, 80)
made = [picture.resize((30, 80), Image.BICUBIC), picture.resize((20, 80), Image.BICUBIC),
        picture.crop(upper).resize((30, 30), Image.BICUBIC),
        picture.resize((30, 30), Image.BICUBIC, box=upper)]
pickle.dump((PIL.__version__, [m.tobytes() for m in made]), open(sys.argv[1], 'wb'))
P
done
"$python" - "$work/12.3.0.bin" "$work/13.0.0.bin" << 'P'
import pickle
import sys

(old, before), (new, after) = (pickle.load(open(p, 'rb')) for p in sys.argv[1:])
counts = []
for name, a, b in zip(('to 30 x 80', 'to 20 x 80', 'upper half, cropped', 'upper half, box='),
                      before, after):
    apart = [abs(x - y) for x, y in zip(a, b)]
    counts.append(sum(d > 0 for d in apart))
    print(f'{name}: Pillow {old} and {new}: {counts[-1]} of {len(a)} values differ, '
          f'by up to {max(apart)}')
sys.exit(not (counts[0] > 0 and counts[1] == 0 and counts[2] == 0 and counts[3] > 0))
P
echo "as described"
