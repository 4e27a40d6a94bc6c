#!/usr/bin/env python3
"""Writes tests/golden/logistic.safetensors: optima of scikit-learn.

    tools/make_logistic_goldens.py            write the file
    tools/make_logistic_goldens.py --check    solve again and compare with it

Numbers and names are those of make_goldens.py; besides its requirements this
needs scikit-learn. Rows of a case are hashed, with a mean that differs from
column to column as features behind a ReLU have it, and drawn apart by class.
Of a case and a C there are: weight, bias, loss (mean cross-entropy) and
objective, loss + ||weight||^2 / (2 C rows), at the optimum of
LogisticRegression(solver="lbfgs").
"""
import argparse
import os
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

import make_goldens as base
from make_goldens import hash32, hashed

# name: rows, features, classes, how far apart they are
CASES = {'many': (240, 24, 6, 0.4), 'apart': (60, 12, 3, 3.0),
         'few': (10, 40, 5, 0.5)}
INVERSE_DECAYS = (0.01, 1.0, 100.0)


def problem(name):
    rows, width, classes, apart = CASES[name]
    labels = (hash32(name + '/labels', np.arange(rows)) % np.uint64(classes)).astype(int)
    labels[:classes] = np.arange(classes)
    mean = hashed(name + '/mean', (width,), 2.0, 1.5).numpy()
    scale = hashed(name + '/scale', (width,), 1.8, 1.0).numpy()
    centres = hashed(name + '/centres', (classes, width), 2 * apart).numpy()
    noise = hashed(name, (rows, width), 2.0).numpy()
    x = mean + scale * (noise + centres[labels])
    return x.astype(np.float32).astype(np.float64), labels


def solve(x, labels, c):
    model = LogisticRegression(C=c, solver='lbfgs', tol=1e-9, max_iter=100000)
    model.fit(x, labels)
    z = x @ model.coef_.T + model.intercept_
    z -= z.max(1, keepdims=True)
    loss = np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(x)), labels])
    penalty = (model.coef_ ** 2).sum() / (2 * c * len(x))
    # A bias that is the same for all classes changes nothing.
    return model.coef_, model.intercept_ - model.intercept_.mean(), loss, loss + penalty


def golden():
    g = base.Golden()
    for name in CASES:
        x, labels = problem(name)
        g.add(f'{name}/labels', labels.astype(np.int64))
        for c in INVERSE_DECAYS:
            weight, bias, loss, objective = solve(x, labels, c)
            g.add(f'{name}/{c:g}/weight', weight)
            g.add(f'{name}/{c:g}/bias', bias)
            g.add(f'{name}/{c:g}/loss', loss, exact=True)
            g.add(f'{name}/{c:g}/objective', objective, exact=True)
    return g


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--check', action='store_true')
    args = parser.parse_args()
    path = os.path.join(base.OUT, 'logistic.safetensors')
    fresh = golden()
    if args.check:
        worst = base.check('logistic', fresh, path)
        print(f'logistic worst difference {worst:.2e}')
        sys.exit(not worst < 1e-5)
    with open(path, 'wb') as file:
        file.write(fresh.encode())
    print(f'logistic {len(fresh.tensors)} tensors {os.path.getsize(path)} bytes')


if __name__ == '__main__':
    main()
