"""pycocotools on a pair of files, timed.

    coco_peer.py GT RESULTS bbox|segm

Prints one JSON object: version, seconds (reading to twelve numbers), stats, the AP of
each category, and the most memory that was resident.
"""
import contextlib
import importlib.metadata
import json
import resource
import sys
import time

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def score(truth, results, kind):
    with contextlib.redirect_stdout(sys.stderr):
        gt = COCO(truth)
        evaluation = COCOeval(gt, gt.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def main():
    begin = time.perf_counter()
    evaluation = score(*sys.argv[1:4])
    seconds = time.perf_counter() - begin
    precision = evaluation.eval['precision'][:, :, :, 0, 2]
    by_category = []
    for k in range(precision.shape[2]):
        p = precision[:, :, k]
        p = p[p > -1]
        by_category.append(float(np.mean(p)) if p.size else -1.0)
    print(json.dumps({
        'version': importlib.metadata.version('pycocotools'), 'seconds': seconds,
        'stats': [float(v) for v in evaluation.stats], 'categories': by_category,
        'peak_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == '__main__':
    main()
