#!/usr/bin/env bash
# pycocotools 2.0.11 (PyPI), with numpy 2.4.6 and Python 3.11 or later.
# Seen 2026-11-28: scoring masks, COCO.loadRes takes a detection's area from its
# box when the first record has a "bbox" beside "segmentation", so the same masks
# score differently by size. A thin diagonal mask (694 pixels, small) that finds
# nothing, above one that is right and small:
#   APs 0.500 from masks alone, 1.000 with the box (140 x 140, large) beside it.
# Way out: leave "bbox" out of results for masks; music_coco_eval takes the area
# of the mask and says so.
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
  --target "$work/packages" pycocotools==2.0.11 numpy==2.4.6 > "$work/log" 2>&1 || {
  echo "pycocotools 2.0.11 is not to be had here: $(tail -1 "$work/log")"
  exit 77
}
PYTHONPATH=$work/packages "$python" - << 'P'
import contextlib
import importlib.metadata
import io
import sys

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def rle(pixels):
    r = masks.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {'size': r['size'], 'counts': r['counts'].decode()}


y, x = np.mgrid[0:200, 0:200]
small = (x < 20) & (y < 20)
thin = (abs(x - y) < 3) & (x >= 40) & (x < 180) & (y >= 40) & (y < 180)


def score(with_boxes):
    truth = COCO()
    truth.dataset = {
        'images': [{'id': 1, 'height': 200, 'width': 200}],
        'categories': [{'id': 1, 'name': 'thing'}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 20, 20],
                         'area': 400, 'iscrowd': 0, 'segmentation': rle(small)}]}
    truth.createIndex()
    records = []
    for pixels, s in ((thin, 0.9), (small, 0.8)):
        r = {'image_id': 1, 'category_id': 1, 'score': s, 'segmentation': rle(pixels)}
        if with_boxes:
            r['bbox'] = [float(v) for v in masks.toBbox(r['segmentation'])]
        records.append(r)
    e = COCOeval(truth, truth.loadRes(records), 'segm')
    e.evaluate()
    e.accumulate()
    e.summarize()
    return e.stats[3]


with contextlib.redirect_stdout(io.StringIO()):
    alone, beside = score(False), score(True)
print('pycocotools', importlib.metadata.version('pycocotools'), 'numpy', np.__version__)
print(f'thin mask of {int(thin.sum())} pixels: APs {alone:.3f} from masks alone, '
      f'{beside:.3f} with boxes beside them')
sys.exit([f'{alone:.3f}', f'{beside:.3f}'] != ['0.500', '1.000'])
P
echo "as described"
