#!/usr/bin/env python3
"""Writes tests/golden/svm.safetensors: linear SVMs of scikit-learn.

    tools/make_svm_goldens.py            write the file
    tools/make_svm_goldens.py --check    recompute and compare with it

Settings are those of the VOC07 protocol: LinearSVC, squared hinge, dual,
tolerance 1e-4, 2000 iterations, class weights 2 and 1, intercept scaling 1;
costs by three stratified folds on average precision. Features are hashed
(make_goldens.py), rows x / (|x| + 1e-5) in float32. Needs scikit-learn beside
what make_goldens.py needs.

    features/train, features/test [n, d]
    targets/train, targets/test   [3, n]  1, -1, 0: difficult
    folds                         [3, n]
    decisions                     [3, costs, test]
    average_precision, envelope   [3, costs]
    cross_validated               [3, costs]  mean over the folds
"""
import argparse
import os
import sys
import warnings

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.svm import LinearSVC

from make_goldens import hashed

PATH = os.path.join(os.path.dirname(__file__), '..', 'tests', 'golden',
                    'svm.safetensors')
TRAIN, TEST, WIDTH, CLASSES = 120, 100, 160, 3
COSTS = [.01, .1, 1, 2, 5, 10, 15, 20, 50, 100, 1000]


def features(name, rows, shown):
    """Rows that lean towards the directions of the classes they show."""
    x = hashed(name, (rows, WIDTH), 2.0).numpy()
    for c in range(CLASSES):
        direction = hashed(f'svm/direction{c}', (WIDTH,), 0.9).numpy()
        x = x + np.outer(shown[c], direction)
    x = np.maximum(x, 0).astype(np.float32)
    length = np.sqrt((x.astype(np.float64) ** 2).sum(1)) + 1e-5
    return x / length.astype(np.float32)[:, None]


def targets(name, rows):
    """Who shows what, and the targets: a few images are difficult."""
    shown = np.array([hashed(f'{name}/shown{c}', (rows,)).numpy() > 0.3 - 0.1 * c
                      for c in range(CLASSES)])
    t = np.where(shown, 1, -1)
    for c in range(CLASSES):
        t[c, 5 + c::17] = 0
    return shown, t


def classifier(cost):
    return LinearSVC(C=cost, class_weight={1: 2, -1: 1}, intercept_scaling=1.0,
                     penalty='l2', loss='squared_hinge', tol=1e-4, dual=True,
                     max_iter=2000, random_state=0)


def envelope(scores, t):
    """Area under the monotone envelope; no two scores are equal here."""
    assert len(np.unique(scores)) == len(scores)
    order = np.argsort(-scores)
    hits = np.cumsum(t[order] == 1)
    recall, precision = hits / hits[-1], hits / np.arange(1, len(hits) + 1)
    recall = np.concatenate([[0], recall, [1]])
    precision = np.concatenate([[0], precision, [0]])
    for i in range(len(precision) - 1, 0, -1):
        precision[i - 1] = max(precision[i - 1], precision[i])
    steps = np.where(recall[1:] != recall[:-1])[0]
    return np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1])


def compute():
    shown, train_targets = targets('svm/train', TRAIN)
    train = features('svm/train', TRAIN, shown)
    shown, test_targets = targets('svm/test', TEST)
    test = features('svm/test', TEST, shown)
    out = {k: [] for k in ('targets/train', 'targets/test', 'folds', 'decisions',
                           'average_precision', 'envelope', 'cross_validated')}
    out['features/train'], out['features/test'] = train, test
    for c in range(CLASSES):
        t, u = train_targets[c], test_targets[c]
        y = np.where(t == 1, 1, -1)  # difficult images are negatives in training
        folds = np.zeros(TRAIN)
        for f, (_, held) in enumerate(StratifiedKFold(3).split(train, y)):
            folds[held] = f
        decisions = [classifier(k).fit(train, y).decision_function(test)
                     for k in COSTS]
        kept = u != 0
        out['targets/train'].append(t)
        out['targets/test'].append(u)
        out['folds'].append(folds)
        out['decisions'].append(decisions)
        out['average_precision'].append(
            [average_precision_score(u[kept] == 1, d[kept]) for d in decisions])
        out['envelope'].append([envelope(d[kept], u[kept]) for d in decisions])
        out['cross_validated'].append(
            [cross_val_score(classifier(k), train, y, cv=3,
                             scoring='average_precision').mean() for k in COSTS])
    types = {'targets': np.int64, 'folds': np.int64, 'features': np.float32}
    return {k: np.array(v).astype(types.get(k.split('/')[0], np.float64))
            for k, v in out.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--check', action='store_true')
    check = parser.parse_args().check
    with warnings.catch_warnings():
        warnings.simplefilter('error', ConvergenceWarning)
        values = compute()
    if not check:
        save_file(values, PATH)
        return 0
    stored = load_file(PATH)
    worst = max(np.abs(stored[k] - values[k]).max() for k in values)
    print(f'largest difference {worst:.2e}')
    return 0 if sorted(stored) == sorted(values) and worst < 1e-3 else 1


if __name__ == '__main__':
    sys.exit(main())
