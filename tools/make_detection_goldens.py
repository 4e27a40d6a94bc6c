#!/usr/bin/env python3
"""Writes tests/golden/detection.safetensors: parts of detectors by torchvision.

    tools/make_detection_goldens.py            write the file
    tools/make_detection_goldens.py --check    recompute and compare with it

Needs PyTorch and torchvision. All is float32, as those parts run; the inputs are
in the file. align<i>: roi_align forward and backward, sampling_ratio 0, aligned.
nms<i>: boxes, scores, threshold and what stays; classes<i>: the same by class,
one nms a class. iou, coder, matcher (labels as ours: 1, 0, -1), anchors (the
grid of torchvision with unrounded cell anchors), paste (grid_sample).
"""
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

import make_goldens as base

torch.set_default_dtype(torch.float32)
PATH = os.path.join(base.OUT, 'detection.safetensors')


def integers(t):
    return np.asarray(t, dtype=np.int64)


def random_boxes(rng, n, extent=100.0, grid=False):
    corner = rng.uniform(-5, extent, (n, 2))
    side = rng.uniform(2, extent / 2, (n, 2))
    boxes = np.concatenate([corner, corner + side], 1)
    return torch.from_numpy((np.round(boxes / 4) * 4 if grid else boxes).astype(np.float32))


def align(g, rng):
    for i, (shape, rois, size, scale) in enumerate([
            ((2, 5, 12, 17), 24, 7, 1 / 16), ((1, 3, 25, 19), 12, 14, 1 / 16),
            ((3, 2, 6, 5), 10, 3, 0.25), ((1, 1, 14, 14), 6, 14, 1.0)]):
        n, _, h, w = shape
        x = torch.from_numpy(rng.normal(size=shape).astype(np.float32)).requires_grad_()
        corner = rng.uniform(-0.2, 0.9, (rois, 2)) * [w / scale, h / scale]
        side = rng.uniform(0, 1, (rois, 2)) * [w / scale, h / scale]
        boxes = np.concatenate([rng.integers(n, size=(rois, 1)), corner, corner + side], 1)
        boxes = torch.from_numpy(boxes.astype(np.float32))
        y = torchvision.ops.roi_align(x, boxes, size, scale, sampling_ratio=0, aligned=True)
        dy = torch.from_numpy(rng.normal(size=tuple(y.shape)).astype(np.float32))
        y.backward(dy)
        for name, t in (('x', x), ('rois', boxes), ('y', y), ('dy', dy), ('dx', x.grad)):
            g.add(f'align{i}/{name}', t)
        g.add(f'align{i}/spec', np.array([size, scale]), exact=True)


def nms(g, rng):
    for i, (n, grid, threshold) in enumerate([
            (60, False, 0.7), (200, False, 0.5), (120, True, 0.5), (150, True, 0.3),
            (1, False, 0.5), (100, True, 1 / 3)]):
        boxes = random_boxes(rng, n, grid=grid)
        scores = rng.uniform(0, 1, n).astype(np.float32)
        if grid:  # ties
            scores = np.round(scores, 1)
        scores = torch.from_numpy(scores)
        g.add(f'nms{i}/boxes', boxes)
        g.add(f'nms{i}/scores', scores)
        g.add(f'nms{i}/threshold', np.array([threshold]), exact=True)
        g.add(f'nms{i}/kept', integers(torchvision.ops.nms(boxes, scores, threshold)))
        classes = rng.integers(4, size=n)
        kept = []
        for c in range(4):
            at = np.flatnonzero(classes == c)
            kept += at[torchvision.ops.nms(boxes[at], scores[at], threshold).numpy()].tolist()
        order = torch.argsort(scores, stable=True, descending=True).tolist()
        g.add(f'nms{i}/classes', integers(classes))
        g.add(f'nms{i}/kept_by_class', integers([j for j in order if j in set(kept)]))


def boxes(g, rng):
    a, b = random_boxes(rng, 30), random_boxes(rng, 40, grid=True)
    g.add('iou/a', a)
    g.add('iou/b', b)
    g.add('iou/iou', torchvision.ops.box_iou(a, b))
    for i, weights in enumerate([(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]):
        coder = BoxCoder(weights)
        deltas = torch.from_numpy((rng.normal(size=(30, 4)) * [1, 1, 3, 3]).astype(np.float32)
                                  * weights[0])
        g.add(f'coder{i}/encoded', coder.encode_single(b[:30], a))
        g.add(f'coder{i}/deltas', deltas)
        g.add(f'coder{i}/decoded', coder.decode_single(deltas, a))
    for i, (low, high, best) in enumerate([(0.3, 0.7, True), (0.5, 0.5, False)]):
        truths = random_boxes(rng, 12, grid=True)
        candidates = torch.cat([random_boxes(rng, 300, grid=True), truths[:3],
                                truths + torch.tensor([0., 0, 4, 0])])
        iou = torchvision.ops.box_iou(truths, candidates)
        matched = Matcher(high, low, best)(iou)
        label = torch.where(matched >= 0, 1, torch.where(matched == -1, 0, -1))
        g.add(f'matcher{i}/truths', truths)
        g.add(f'matcher{i}/candidates', candidates)
        g.add(f'matcher{i}/label', integers(label))
        g.add(f'matcher{i}/truth', integers(iou.max(0)[1]))


def anchors(g):
    maker = AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),))
    cell = []
    for size in (32, 64, 128, 256, 512):
        for ratio in (0.5, 1.0, 2.0):
            w = math.sqrt(size * size / ratio)
            cell.append([-w / 2, -ratio * w / 2, w / 2, ratio * w / 2])
    maker.set_cell_anchors = lambda *_: None
    maker.cell_anchors = [torch.tensor(cell)]
    g.add('anchors', maker(ImageList(torch.zeros(1, 3, 48, 80), [(48, 80)]),
                           [torch.zeros(1, 1, 3, 5)])[0])


def paste(g, rng):
    for i, (h, w) in enumerate([(40, 50), (17, 9), (64, 64)]):
        p = torch.from_numpy(rng.uniform(size=(14, 14)).astype(np.float32))
        x0, y0 = rng.uniform(-5, w / 2), rng.uniform(-5, h / 2)
        box = torch.tensor([x0, y0, x0 + rng.uniform(3, w), y0 + rng.uniform(3, h)],
                           dtype=torch.float32)
        gx = (torch.arange(w) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        gy = (torch.arange(h) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack([gx[None].expand(h, w), gy[:, None].expand(h, w)], 2)[None]
        v = F.grid_sample(p[None, None], grid, align_corners=False)[0, 0]
        for name, t in (('p', p), ('box', box), ('values', v)):
            g.add(f'paste{i}/{name}', t)


def golden():
    g, rng = base.Golden(), np.random.default_rng(11)
    align(g, rng)
    nms(g, rng)
    boxes(g, rng)
    anchors(g)
    paste(g, rng)
    return g


def main():
    if sys.argv[1:] not in ([], ['--check']):
        sys.exit(__doc__)
    fresh = golden()
    if sys.argv[1:]:
        worst = base.check('detection', fresh, PATH)
        print(f'detection worst difference {worst:.2e}')
        sys.exit(not worst < 1e-5)
    with open(PATH, 'wb') as file:
        file.write(fresh.encode())
    print(f'{len(fresh.tensors)} tensors {os.path.getsize(PATH)} bytes')


if __name__ == '__main__':
    main()
