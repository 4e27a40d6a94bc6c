#!/usr/bin/env bash
# faiss-cpu 1.15.1 (PyPI), with numpy 2.4.6 and Python 3.11 or later.
# Seen 2026-11-28: which of equally similar rows IndexFlatIP returns depends on
# where better rows stand. In a list they come highest row first, and those that are
# kept at the k-th place are neither the first nor the last of the equal ones:
#   five rows of similarity 0.5, then two of 1; the 3 nearest of an inner product
#   are 6, 5 and 2, of the 4 nearest 6, 5, 3 and 2. With the two in front: 1, 0, 2.
# IndexFlatL2 on the same unit vectors, where both should rank alike, keeps the
# lowest rows, in order: 5, 6, 0 and 5, 6, 0, 1.
# A kNN score of a bank with duplicates (images that stand twice, a collapsed
# encoder) so depends on the index and on the order of the files. music_knn takes
# the earlier of equally similar images, always.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || {
  echo "no Python 3.11 here"
  exit 77
}
"$python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --target "$work/packages" faiss-cpu==1.15.1 numpy==2.4.6 packaging==25.0 \
  > "$work/log" 2>&1 || {
  echo "faiss-cpu 1.15.1 is not to be had here: $(tail -1 "$work/log")"
  exit 77
}
PYTHONPATH=$work/packages "$python" - << 'P'
import sys

import faiss
import numpy


def nearest(index, similarities, k):
    rows = numpy.array([[s, (1 - s * s) ** 0.5] for s in similarities], numpy.float32)
    index.add(rows)
    return index.search(numpy.array([[1, 0]], numpy.float32), k)[1][0].tolist()


behind, before = [.5] * 5 + [1, 1], [1, 1] + [.5] * 5
seen = [(kind.__name__, where, k, nearest(kind(2), rows, k))
        for kind in (faiss.IndexFlatIP, faiss.IndexFlatL2)
        for where, rows, k in (('better ones last', behind, 3), ('better ones last', behind, 4),
                               ('better ones first', before, 3))]
print('faiss', faiss.__version__, 'numpy', numpy.__version__)
for line in seen:
    print(*line)
if [line[3] for line in seen] != [[6, 5, 2], [6, 5, 3, 2], [1, 0, 2],
                                  [5, 6, 0], [5, 6, 0, 1], [0, 1, 2]]:
    sys.exit(1)
P
echo "as described"
