"""Search among segment codes with NumPy: time.

Reads --codes (raw uint8, [n,segments]) once, into columns, which NumPy compares
faster than rows; prints a line; then, for every line it is given, it answers the
question once and prints the time. At the end of its input it prints what it found,
[image, segments that agree] each.
"""
import argparse
import json
import sys
import time

import numpy as np


def nearest(columns, code, ranked, like, top, keep=None):
    """Most agreement first, equal ones by their number."""
    if keep is None:
        score = np.zeros(columns.shape[1], np.uint8)
        for s in ranked:
            score += columns[s] == code[s]
        score = score.astype(np.int16)
        score[like] = -1
        images = None
    else:
        images = np.flatnonzero(keep)
        images = images[images != like]
        score = (columns[np.ix_(ranked, images)] == code[ranked, None]).sum(0, dtype=np.int16)
    count = min(top, len(score))
    least = np.partition(score, len(score) - count)[len(score) - count]
    at = np.flatnonzero(score >= least)
    at = at[np.argsort(-score[at], kind='stable')][:count]
    found = at if images is None else images[at]
    return [[int(i), int(s)] for i, s in zip(found, score[at]) if s >= 0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--codes', required=True)
    parser.add_argument('--segments', type=int, required=True)
    parser.add_argument('--like', type=int, required=True)
    parser.add_argument('--top', type=int, required=True)
    parser.add_argument('--question', required=True)
    args = parser.parse_args()
    rows = np.fromfile(args.codes, np.uint8).reshape(-1, args.segments)
    code = rows[args.like].copy()
    columns = np.ascontiguousarray(rows.T)
    del rows
    every = np.arange(args.segments)

    def same(segments, others=()):
        keep = np.ones(columns.shape[1], bool)
        for s in segments:
            keep &= columns[s] == code[s]
        for s in others:
            keep &= columns[s] != code[s]
        return keep

    ask = {
        'nearest': lambda: nearest(columns, code, every, args.like, args.top),
        'some': lambda: nearest(columns, code, np.array([1, 2, 4, 6, 8, 10, 12, 14]),
                                args.like, args.top),
        'same': lambda: nearest(columns, code, every, args.like, args.top,
                                same([3, 17], [5])),
        'one': lambda: nearest(columns, code, every, args.like, args.top, same([3])),
    }[args.question]
    print(json.dumps({'numpy': np.__version__}), flush=True)
    found = []
    for _ in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        found = ask()
        print(json.dumps({'seconds': time.perf_counter() - start,
                          'cpu': time.process_time() - cpu}), flush=True)
    print(json.dumps({'found': found}), flush=True)


if __name__ == '__main__':
    main()
