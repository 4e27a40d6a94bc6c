#!/usr/bin/env python3
"""Runs of ours beside runs of twin.py, as Markdown tables.

    compare_twins.py --ours RUN... --twin RUN...

Terms of the loss by epoch (mean over an epoch's full batches) and kNN scores: mean
and standard deviation over the runs of a side, the difference twin - ours with its
95 % interval, and Welch's t-test. Last the power of that test: what true difference
it would find in four of five such experiments, at the deviation seen.
"""
import argparse
import json
import pathlib
import sys

import numpy as np
from scipy import optimize, stats

TERMS = ['loss', 'loss_de', 'loss_oe', 'loss_ti', 'usage_entropy', 'agreement']


def epochs_of(run):
    """[epoch][term], means over the full batches of each epoch."""
    lines = [json.loads(line) for line in open(run / 'metrics.jsonl')][1:]
    full = [l for l in lines if l['oe_floor'] == lines[0]['oe_floor'] or
            abs(l['oe_floor'] - lines[0]['oe_floor']) < 1e-9]
    return np.array([[np.mean([l[t] for l in full if l['epoch'] == e])
                      for t in TERMS] for e in range(lines[-1]['epoch'] + 1)])


def scores_of(run):
    """{epoch: {score: percent}}"""
    path = run / 'eval' / 'knn_during_training.jsonl'
    return {s['epoch']: {k: v for k, v in s.items() if k.startswith('knn')}
            for s in map(json.loads, open(path))}


def welch(ours, twin):
    """Difference of the means, half of its 95 % interval, p."""
    test = stats.ttest_ind(twin, ours, equal_var=False)
    low, high = test.confidence_interval()
    return np.mean(twin) - np.mean(ours), (high - low) / 2, test.pvalue


def detectable(ours, twin):
    """The difference that a test at 5 % finds with a chance of 80 %, for two normal
    populations of the deviation seen."""
    n, m = len(ours), len(twin)
    free = n + m - 2
    deviation = np.sqrt(((n - 1) * np.var(ours, ddof=1) +
                         (m - 1) * np.var(twin, ddof=1)) / free)
    critical = stats.t.ppf(0.975, free)
    # The other tail is below 1e-4 there.
    shift = optimize.brentq(lambda s: stats.nct.sf(critical, free, s) - 0.8, 1, 15)
    return shift * deviation * np.sqrt(1 / n + 1 / m)


def row(what, ours, twin, digits):
    difference, half, p = welch(ours, twin)
    print(f'| {what} | {np.mean(ours):.{digits}f} ± {np.std(ours, ddof=1):.{digits}f} '
          f'| {np.mean(twin):.{digits}f} ± {np.std(twin, ddof=1):.{digits}f} '
          f'| {difference:+.{digits}f} ± {half:.{digits}f} | {p:.3f} '
          f'| {detectable(ours, twin):.{digits}f} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--ours', nargs='+', type=pathlib.Path, required=True)
    parser.add_argument('--twin', nargs='+', type=pathlib.Path, required=True)
    args = parser.parse_args()
    if min(len(args.ours), len(args.twin)) < 2:
        parser.error('expected two or more runs of each side')
    ours, twin = ([epochs_of(r) for r in runs] for runs in (args.ours, args.twin))
    epochs = min(len(e) for e in ours + twin)
    head = ('| ours | twin | twin - ours, 95 % | p | found with 80 % |\n'
            '|---|---|---|---|---|---|')
    for t, term in enumerate(TERMS):
        print(f'\n| {term}, epoch {head}')
        for e in range(epochs):
            row(e + 1, [r[e, t] for r in ours], [r[e, t] for r in twin], 4)
    ours, twin = ([scores_of(r) for r in runs] for runs in (args.ours, args.twin))
    print(f'\n| after epoch {head}')
    for epoch in sorted(set.intersection(*(set(s) for s in ours + twin))):
        for score in ours[0][epoch]:
            row(f'{epoch}, {score}', [s[epoch][score] for s in ours],
                [s[epoch][score] for s in twin], 2)
            print('  ours', [s[epoch][score] for s in ours], 'twin',
                  [s[epoch][score] for s in twin], file=sys.stderr)


if __name__ == '__main__':
    main()
