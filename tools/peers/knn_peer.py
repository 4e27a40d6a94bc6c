"""Exact nearest neighbours with FAISS's flat index: time and memory.

Reads FOLDER/{bank,queries}.f32 (raw float32, [n,width]), normalises the rows,
builds an IndexFlatIP and prints one line of JSON; then, for every line it is
given, it searches once and prints the time. At the end of its input it writes
FOLDER/rows.i64, the neighbours of every query ([queries,k]), and a last line.
"""
import argparse
import json
import resource
import sys
import time

import faiss
import numpy as np

CHUNK = 1 << 25  # numbers read at a time


def unit_rows(path, width):
    """Blocks of rows, each of length 1; rows of zeros stay."""
    with open(path, 'rb') as f:
        rows = max(1, CHUNK // width)
        while True:
            block = np.fromfile(f, np.float32, rows * width).reshape(-1, width)
            if len(block) == 0:
                return
            faiss.normalize_L2(block)
            yield block


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--folder', required=True)
    parser.add_argument('--width', type=int, required=True)
    parser.add_argument('--k', type=int, required=True)
    parser.add_argument('--threads', type=int, required=True)
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    index = faiss.IndexFlatIP(args.width)
    for block in unit_rows(f'{args.folder}/bank.f32', args.width):
        index.add(block)
    queries = np.concatenate(list(unit_rows(f'{args.folder}/queries.f32', args.width)))
    print(json.dumps({'faiss': faiss.__version__,
                      'options': faiss.get_compile_options().strip(),
                      'rows': index.ntotal}), flush=True)
    found = None
    for _ in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        found = index.search(queries, args.k)[1]
        print(json.dumps({'seconds': time.perf_counter() - start,
                          'cpu': time.process_time() - cpu}), flush=True)
    found.astype(np.int64).tofile(f'{args.folder}/rows.i64')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({'peak': peak}), flush=True)


if __name__ == '__main__':
    main()
