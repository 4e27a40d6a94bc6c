#!/usr/bin/env python3
"""Writes tests/golden/coco: small COCO files and what pycocotools makes of them.

    tools/make_coco_goldens.py            write the files
    tools/make_coco_goldens.py --check    recompute and compare with them

Needs pycocotools 2.0.11 and numpy. random<seed>.{gt,bbox,segm}.json come from
tools/peers/coco_random.py; numbers.json holds for each pair the twelve numbers,
the AP of each category and the SHA-256 of the arrays of precision and recall
(little-endian doubles). The random files of a seed that three divides have an
annotation with the id 0, which pycocotools never matches. masks.json: polygons
with their run lengths, areas and boxes, pairs with union and overlap.
"""
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from pycocotools import mask as mask_utils

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, '..', 'tests', 'golden', 'coco')
SEEDS = (0, 1, 2)
sys.path.insert(0, os.path.join(HERE, 'peers'))
import coco_peer  # noqa: E402


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array, '<f8').tobytes()).hexdigest()


def numbers(folder):
    out = {}
    for seed in SEEDS:
        for kind in ('bbox', 'segm'):
            with contextlib.redirect_stderr(io.StringIO()):
                e = coco_peer.score(os.path.join(folder, f'random{seed}.gt.json'),
                                    os.path.join(folder, f'random{seed}.{kind}.json'), kind)
            p = e.eval['precision'][:, :, :, 0, 2]
            by_category = [float(np.mean(c[c > -1])) if (c > -1).any() else -1.0
                           for c in np.moveaxis(p, 2, 0)]
            out[f'random{seed}.{kind}'] = {
                'stats': [float(v) for v in e.stats], 'categories': by_category,
                'precision': sha256(e.eval['precision']), 'recall': sha256(e.eval['recall'])}
    return out


def write_random(folder):
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as made:
            subprocess.run(
                [sys.executable, os.path.join(HERE, 'peers', 'coco_random.py'), made, str(seed),
                 '--images', '8', '--annotations', '36', '--detections', '120', '--side', '120'],
                check=True)
            for name in ('gt', 'bbox', 'segm'):
                os.replace(os.path.join(made, name + '.json'),
                           os.path.join(folder, f'random{seed}.{name}.json'))


def masks():
    """Stars, slivers, single points, lines, corners on pixel centres, all partly outside."""
    rng = np.random.default_rng(7)
    single, pairs = [], []
    for i in range(80):
        h, w = (int(v) for v in rng.integers(1, 40, 2))
        corners = int(rng.integers(3, 12))
        points = rng.uniform(-0.4, 1.4, (corners, 2)) * [w, h]
        if i % 4 == 0:
            points = np.round(points)
        if i % 4 == 1:
            points = np.round(points * 2) / 2
        if i % 10 == 3:
            points[:] = points[0]
        if i % 10 == 6:
            points[:, i // 10 % 2] = points[0, i // 10 % 2]
        polygon = [float(v) for v in np.round(points, 2).reshape(-1)]
        rle = mask_utils.frPyObjects([polygon], h, w)[0]
        single.append({'size': [h, w], 'polygon': polygon, 'counts': rle['counts'].decode(),
                       'area': int(mask_utils.area(rle)),
                       'box': [float(v) for v in mask_utils.toBbox(rle)],
                       'rows': [''.join(map(str, r)) for r in mask_utils.decode(rle)]})
    for _ in range(40):
        h, w = (int(v) for v in rng.integers(1, 12, 2))
        two = [np.asfortranarray((rng.random((h, w)) < rng.random()).astype(np.uint8))
               for _ in range(2)]
        a, b = (mask_utils.encode(m) for m in two)
        pairs.append({'size': [h, w], 'a': a['counts'].decode(), 'b': b['counts'].decode(),
                      'any': mask_utils.merge([a, b])['counts'].decode(),
                      'both': mask_utils.merge([a, b], intersect=True)['counts'].decode(),
                      'iou': float(mask_utils.iou([a], [b], [0])[0, 0]),
                      'crowd': float(mask_utils.iou([a], [b], [1])[0, 0])})
    return {'single': single, 'pairs': pairs}


def dump(value):
    return json.dumps(value, indent=0) + '\n'


def main():
    if sys.argv[1:] not in ([], ['--check']):
        sys.exit(__doc__)
    files = {'masks.json': masks}
    if sys.argv[1:] == []:
        os.makedirs(OUT, exist_ok=True)
        write_random(OUT)
    files['numbers.json'] = lambda: numbers(OUT)
    bad = 0
    for name, make in files.items():
        text, path = dump(make()), os.path.join(OUT, name)
        if sys.argv[1:] == ['--check']:
            same = open(path).read() == text
            print(name, 'same' if same else 'DIFFERS')
            bad += not same
        else:
            open(path, 'w').write(text)
    sys.exit(bad != 0)


if __name__ == '__main__':
    main()
