#!/usr/bin/env python3
"""Writes tests/golden/knn.safetensors: what scikit-learn's brute-force k nearest
neighbours predict, by cosine distance with the vote exp((1 - distance) / T).

    tools/make_knn_goldens.py            write the file
    tools/make_knn_goldens.py --check    recompute and compare with it

Features are hashed numbers (make_goldens.py) around hashed class centres, so
that the file holds predictions only: predicted/<k>/<T>, and the parameters.
"""
import argparse
import os
import sys

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.neighbors import KNeighborsClassifier

from make_goldens import hash32

PATH = os.path.join(os.path.dirname(__file__), '..', 'tests', 'golden',
                    'knn.safetensors')
TRAIN, TEST, WIDTH, CLASSES = 400, 120, 24, 10
KS, TS = (1, 5, 20, 100), (0.07, 0.5)


def uniform(name, rows, width):
    n = hash32(name, np.arange(rows * width)).astype(np.float64)
    return (n / 2.0**32 - 0.5).reshape(rows, width)


def features(name, rows):
    """float32, as the test forms them: 0.6 centre + noise."""
    labels = (hash32(name + '/labels', np.arange(rows)) % np.uint64(CLASSES)).astype(np.int64)
    centres = uniform('knn/centres', CLASSES, WIDTH)
    return (0.6 * centres[labels] + uniform(name, rows, WIDTH)).astype(np.float32), labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--check', action='store_true')
    args = parser.parse_args()
    train, train_labels = features('knn/train', TRAIN)
    test, test_labels = features('knn/test', TEST)
    out = {'shape': np.array([TRAIN, TEST, WIDTH, CLASSES], np.int64),
           'k': np.array(KS, np.int64), 'temperature': np.array(TS)}
    for k in KS:
        for t in TS:
            model = KNeighborsClassifier(
                k, algorithm='brute', metric='cosine',
                weights=lambda d, t=t: np.exp((1 - d) / t))
            model.fit(train.astype(np.float64), train_labels)
            test64 = test.astype(np.float64)
            votes = np.sort(model.predict_proba(test64), axis=1)
            gap = (votes[:, -1] - votes[:, -2]).min()
            assert gap > 1e-9, f'k {k}, T {t}: a tie, gap {gap}'
            out[f'predicted/{k}/{t}'] = model.predict(test64).astype(np.int64)
            right = (out[f'predicted/{k}/{t}'] == test_labels).mean()
            print(f'k {k}, T {t}: {100 * right:.1f} %, smallest gap {gap:.1e}')
    if args.check:
        stored = load_file(PATH)
        sys.exit(stored.keys() != out.keys() or
                 any((stored[n] != v).any() for n, v in out.items()))
    save_file(out, PATH)


if __name__ == '__main__':
    main()
