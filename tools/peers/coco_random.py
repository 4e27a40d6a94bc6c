"""Random COCO files: what detectors and annotators of any quality might write.

    coco_random.py DIR SEED [--images N] [--categories K] [--annotations A]
                   [--detections D] [--side S] [--plain]

writes DIR/gt.json, DIR/bbox.json and DIR/segm.json. Of the annotations some are
crowds, some are polygons (of one or more parts, inside the image or not), some
run lengths as a list or a string; scores come in ties, boxes overlap at exactly
.5 and .75, some categories and images have nothing, an id may be 0. --plain: as
val2017 is, ids from 1, polygons, a crowd here and there.
"""
import argparse
import json
import os

import numpy as np
from pycocotools import mask as mask_utils


def polygon(rng, x, y, w, h, corners):
    """A star-shaped outline in a box."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.5, 1.0, corners)
    px = x + w / 2 + w / 2 * radius * np.cos(angle)
    py = y + h / 2 + h / 2 * radius * np.sin(angle)
    return np.round(np.stack([px, py], 1).reshape(-1), 2).tolist()


def rle(polygons, h, w):
    return mask_utils.merge(mask_utils.frPyObjects(polygons, h, w))


def as_text(mask):
    return {'size': [int(v) for v in mask['size']], 'counts': mask['counts'].decode()}


def as_list(mask):
    """Run lengths as numbers."""
    pixels = mask_utils.decode(mask).reshape(-1, order='F')
    edges = np.flatnonzero(np.diff(np.concatenate([[0], pixels, [2]])))
    return {'size': [int(v) for v in mask['size']],
            'counts': np.diff(np.concatenate([[0], edges])).astype(int).tolist()}


def jitter(rng, box, wild):
    x, y, w, h = box
    kind = rng.integers(5) if wild else 4
    if kind == 0:
        return [x, y, w, h]
    if kind == 1:
        return [x, y, w, h * 3 / 4]  # overlap .75
    if kind == 2:
        return [x, y, w / 2, h]      # .5
    shift = rng.normal(0, 0.12, 4)
    return [x + shift[0] * w, y + shift[1] * h, max(w * (1 + shift[2]), 1),
            max(h * (1 + shift[3]), 1)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('dir')
    p.add_argument('seed', type=int)
    p.add_argument('--images', type=int, default=12)
    p.add_argument('--categories', type=int, default=4)
    p.add_argument('--annotations', type=int, default=60)
    p.add_argument('--detections', type=int, default=300)
    p.add_argument('--side', type=int, default=200)
    p.add_argument('--plain', action='store_true')
    p.add_argument('--corners', type=int, default=9)
    o = p.parse_args()
    rng = np.random.default_rng(o.seed)
    wild = not o.plain
    ids = rng.permutation(10 * o.images)[:o.images] + 1
    images = [{'id': int(i), 'file_name': f'{i:012}.jpg',
               'height': int(rng.integers(o.side // 2, o.side)),
               'width': int(rng.integers(o.side // 2, o.side))} for i in ids]
    categories = [{'id': int(i), 'name': f'category {i}', 'supercategory': 'thing'}
                  for i in rng.permutation(2 * o.categories)[:o.categories] + 1]

    annotations = []
    used = images[:max(1, int(0.9 * len(images)))]           # some have none
    known = categories[:max(1, len(categories) - wild)]      # one has none
    share = rng.dirichlet(np.ones(len(known)))
    first = 0 if wild and o.seed % 3 == 0 else 1
    for i in range(o.annotations):
        image = used[rng.integers(len(used))]
        h, w = image['height'], image['width']
        size = np.exp(rng.uniform(np.log(4), np.log(o.side * 0.8), 2))
        x, y = rng.uniform(0, w), rng.uniform(0, h)
        bw, bh = min(size[0], w - x), min(size[1], h - y)
        box = [x, y, max(bw, 2), max(bh, 2)]
        if wild and rng.random() < 0.5:
            box = [float(round(v)) for v in box]
        else:
            box = [round(v, 2) for v in box]
        crowd = int(rng.random() < (0.12 if wild else 0.012))
        parts = [polygon(rng, *box, o.corners)]
        if rng.random() < 0.15:
            parts.append(polygon(rng, box[0] + box[2] / 2, box[1], box[2], box[3], o.corners))
        if wild and rng.random() < 0.1:
            parts = [[box[0], box[1], box[0] + box[2], box[1], box[0] + box[2],
                      box[1] + box[3], box[0], box[1] + box[3]]]
        mask = rle(parts, h, w)
        form = 1 if crowd else rng.integers(3) if wild else 0
        area = float(mask_utils.area(mask))
        if wild and rng.random() < 0.2:
            area = float(rng.choice([0, 1024, 9216, 1024.5, 1e10]))
        annotations.append({
            'id': first + i, 'image_id': image['id'],
            'category_id': known[rng.choice(len(known), p=share)]['id'],
            'bbox': box, 'area': area, 'iscrowd': crowd,
            'segmentation': parts if form == 0 else
            as_list(mask) if form == 1 else as_text(mask)})
    if wild:
        rng.shuffle(annotations)
    truth = {'info': {'year': 2017, 'nested': [{'a': [1, {}]}]}, 'licenses': [],
             'images': images, 'annotations': annotations, 'categories': categories}

    by_id = {i['id']: i for i in images}
    bbox, segm = [], []
    for _ in range(o.detections):
        a = None
        if annotations and rng.random() < 0.75:
            a = annotations[rng.integers(len(annotations))]
            image, box = by_id[a['image_id']], jitter(rng, a['bbox'], wild)
            category = a['category_id']
            if rng.random() < 0.1:
                category = categories[rng.integers(len(categories))]['id']
        else:
            image = images[rng.integers(len(images))]
            category = categories[rng.integers(len(categories))]['id']
            box = [rng.uniform(0, image['width'] - 2), rng.uniform(0, image['height'] - 2),
                   rng.uniform(1, o.side), rng.uniform(1, o.side)]
        score = rng.random()
        if wild and rng.random() < 0.7:
            score = round(score, 1)  # ties
        head = {'image_id': image['id'], 'category_id': category}
        bbox.append(head | {'bbox': [float(v) for v in box], 'score': float(score)})
        parts = [polygon(rng, *box, o.corners)]
        if wild and a and rng.random() < 0.2:
            same = by_id[a['image_id']]
            s = a['segmentation']
            if same is image and isinstance(s, list):
                parts = s
        segm.append(head | {'segmentation': as_text(rle(parts, image['height'], image['width'])),
                            'score': float(score)})
    os.makedirs(o.dir, exist_ok=True)
    for name, value in (('gt', truth), ('bbox', bbox), ('segm', segm)):
        with open(os.path.join(o.dir, name + '.json'), 'w') as f:
            json.dump(value, f)


if __name__ == '__main__':
    main()
