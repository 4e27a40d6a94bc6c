#!/usr/bin/env bash
# pycocotools 2.0.11 (PyPI), with numpy 2.4.6 and Python 3.11 or later.
# Seen 2026-11-28: an annotation with the id 0 is never matched, so a perfect
# result does not score 1. COCOeval.evaluateImg keeps the id of the annotation
# that a detection found, and takes 0 for "found none". Four boxes, each found
# exactly, numbered from 1 and from 0:
#   AP 1.000 and 0.752, recall 1.000 and 0.750, without a warning.
# Way out: number annotations from 1; music_coco_eval counts the id 0 like any
# other and says so.
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

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def score(first_id):
    boxes = [[25.0 * i, 10.0, 20.0, 20.0] for i in range(4)]
    truth = COCO()
    truth.dataset = {
        'images': [{'id': 1, 'height': 100, 'width': 100}],
        'categories': [{'id': 1, 'name': 'thing'}],
        'annotations': [{'id': first_id + i, 'image_id': 1, 'category_id': 1, 'bbox': b,
                         'area': 400.0, 'iscrowd': 0} for i, b in enumerate(boxes)]}
    truth.createIndex()
    found = truth.loadRes([{'image_id': 1, 'category_id': 1, 'bbox': b, 'score': 0.9 - 0.1 * i}
                           for i, b in enumerate(reversed(boxes))])
    e = COCOeval(truth, found, 'bbox')
    e.evaluate()
    e.accumulate()
    e.summarize()
    return e.stats[0], e.stats[8]


said = io.StringIO()
with contextlib.redirect_stdout(said):
    results = [score(1), score(0)]
print('pycocotools', importlib.metadata.version('pycocotools'), 'numpy', numpy.__version__)
for first, (ap, recall) in zip((1, 0), results):
    print(f'ids from {first}: AP {ap:.3f}, recall {recall:.3f}')
if [f'{v:.3f}' for r in results for v in r] != ['1.000', '1.000', '0.752', '0.750']:
    sys.exit(1)
if 'id 0' in said.getvalue() or 'warn' in said.getvalue().lower():
    sys.exit('a warning is given')
P
echo "as described"
