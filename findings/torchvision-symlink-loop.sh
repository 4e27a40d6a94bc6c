#!/usr/bin/env bash
# torchvision 0.29.2 (PyPI), with torch 2.15.
# Seen 2026-11-28: a link within a class folder to the folder of the classes (a/up -> ..)
# multiplies the images, and gives those of every other class the label of the
# one that the link lies in. make_dataset walks with os.walk(followlinks=True), which goes
# round until the system refuses (40 links on Linux). Two images, one of each class:
#   ImageFolder has 82, 40 of them the image of class b with the label of a,
# without a warning.
# Way out: no such links; music's programs do not follow a link to a folder above, and
# name it.
# Takes the torchvision that $PYTHON has, or else installs that version with pip.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
if ! "$python" -c 'import torchvision' 2> /dev/null; then
  "$python" -m pip install --quiet --disable-pip-version-check \
    --target "$work/packages" torchvision==0.29.2 > "$work/log" 2>&1 || {
    echo "torchvision 0.29.2 is not to be had here: $(tail -1 "$work/log")"
    exit 77
  }
  export PYTHONPATH=$work/packages
fi
"$python" - "$work/data" << 'P'
import os
import sys

import torchvision
from PIL import Image
from torchvision.datasets import ImageFolder

root = sys.argv[1]
for name in 'ab':
    os.makedirs(os.path.join(root, name))
    Image.new('RGB', (8, 8)).save(os.path.join(root, name, '1.jpg'))
assert len(ImageFolder(root)) == 2
os.symlink('..', os.path.join(root, 'a', 'up'))
data = ImageFolder(root)
wrong = sum(label == 0 and os.path.realpath(path).endswith('/b/1.jpg')
            for path, label in data.samples)
print('torchvision', torchvision.__version__)
print(f'2 images and a link: {len(data)} samples, {wrong} of them with the wrong label')
sys.exit(wrong == 0)
P
echo "as described"
